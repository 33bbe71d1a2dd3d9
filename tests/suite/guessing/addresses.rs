//! What is counted for an address, and which one it is.

use super::{FREE_OF_ADDRESS, KIM, WRONG, guess_from, serve, try_from, wait_of};
use crate::support::{PASSWORD, Server, TestDb, on_both_engines};

on_both_engines! {
    an_address_that_tries_many_accounts_is_slowed_down_and_its_own_login_does_not_help_it,
    an_ipv6_customer_is_one_address,
    a_header_that_nobody_may_send_changes_no_address,
}

/// One wrong password each for many accounts.
fn spray(db: &TestDb, server: &Server, ip: impl Fn(usize) -> String) {
    for n in 0..FREE_OF_ADDRESS {
        guess_from(db, server, &ip(n), &format!("somebody{n}@example.com"), 1);
    }
}

async fn an_address_that_tries_many_accounts_is_slowed_down_and_its_own_login_does_not_help_it(db: TestDb) {
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

async fn a_header_that_nobody_may_send_changes_no_address(db: TestDb) {
    crate::support::add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[]);
    spray(&db, &server, |n| format!("203.0.113.{n}"));
    wait_of(&try_from(&mut server.client(), "192.0.2.1", KIM, WRONG));
}
