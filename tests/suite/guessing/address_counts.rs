//! The count of wrong passwords for an address, and which address is counted.

use sha2::{Digest as _, Sha256};

use super::{FREE_OF_ADDRESS, KIM, WRONG, guess_from, serve, try_from, wait_of};
use crate::support::{App, Engine, PASSWORD, Served, TestDb, command, on_both_engines_and_citus};

on_both_engines_and_citus! {
    an_address_that_tries_many_accounts_is_throttled,
    an_ipv6_customer_is_one_address,
    an_untrusted_header_does_not_change_the_address,
    the_name_of_a_count_does_not_tell_its_address,
    counts_of_addresses_go_when_addresses_are_wiped,
}

async fn the_name_of_a_count_does_not_tell_its_address(db: TestDb) {
    let server = serve(&db);
    guess_from(&db, &server, "203.0.113.9", KIM, 1);
    let hex = if db.engine == Engine::Postgres { "upper(encode(subject, 'hex'))" } else { "hex(subject)" };
    let subjects = db.sql(&format!("SELECT {hex} FROM throttle_counts"));
    assert_eq!(subjects.lines().count(), 2, "{subjects}");
    // The stored name must not be a plain hash: there are few enough addresses to try them all.
    let hashed = |name: &str| Sha256::digest(name).iter().fold(String::new(), |text, byte| format!("{text}{byte:02X}"));
    assert!(subjects.contains(&hashed(&format!("account:{KIM}"))), "{subjects}");
    assert!(!subjects.contains(&hashed("address:203.0.113.9")), "{subjects}");
    // All nodes store the same name for an address.
    let second = App::start(&db, &[("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32")]);
    guess_from(&db, &second, "203.0.113.9", "nobody@example.com", 1);
    assert_eq!(db.sql("SELECT count(*) FROM throttle_counts"), "3");
}

async fn counts_of_addresses_go_when_addresses_are_wiped(db: TestDb) {
    let server = serve(&db);
    guess_from(&db, &server, "203.0.113.9", KIM, 1);
    db.sql("UPDATE throttle_counts SET changed_at = INSTANT(-7300)");
    let prune = |ttl: &str| {
        let mut command = command(&db, &[("SESSILE_ADDRESS_TTL", ttl)]);
        assert!(command.arg("prune").output().unwrap().status.success());
        db.sql("SELECT count(*) FROM throttle_counts")
    };
    assert_eq!(prune("3h"), "2");
    assert_eq!(prune("2h"), "1", "the account's count is not wiped");
    assert_eq!(db.sql("SELECT failures FROM throttle_counts"), "1");
}

/// Sends one wrong password for each of many accounts.
fn spray(db: &TestDb, server: &Served, ip: impl Fn(usize) -> String) {
    for n in 0..FREE_OF_ADDRESS {
        guess_from(db, server, &ip(n), &format!("somebody{n}@example.com"), 1);
    }
}

async fn an_address_that_tries_many_accounts_is_throttled(db: TestDb) {
    let server = serve(&db);
    for n in 0..FREE_OF_ADDRESS {
        guess_from(&db, &server, "203.0.113.9", &format!("somebody{n}@example.com"), 1);
        if n % 10 == 0 {
            assert_eq!(try_from(&mut server.client(), "203.0.113.9", KIM, PASSWORD).status, 200);
        }
    }
    wait_of(&try_from(&mut server.client(), "203.0.113.9", KIM, PASSWORD));
    assert_eq!(try_from(&mut server.client(), "203.0.113.10", KIM, PASSWORD).status, 200, "another address");
}

async fn an_ipv6_customer_is_one_address(db: TestDb) {
    let server = serve(&db);
    spray(&db, &server, |n| format!("2001:db8:7:1::{n:x}"));
    wait_of(&try_from(&mut server.client(), "2001:db8:7:1:ffff::1", KIM, PASSWORD));
    assert_eq!(try_from(&mut server.client(), "2001:db8:7:2::1", KIM, PASSWORD).status, 200);
}

async fn an_untrusted_header_does_not_change_the_address(db: TestDb) {
    crate::support::add_user(&db, KIM, "owner");
    let server = App::start(&db, &[]);
    spray(&db, &server, |n| format!("203.0.113.{n}"));
    wait_of(&try_from(&mut server.client(), "192.0.2.1", KIM, WRONG));
}
