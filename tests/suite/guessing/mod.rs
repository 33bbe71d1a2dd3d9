//! Guessing passwords: how often it may be tried, by whom it is counted, and that nobody else is locked out by it. Served
//! programs on both engines; time is made to pass by aging the counts.

mod account_counts;
mod address_counts;
mod browsers;
mod every_password_field;
mod flood;
mod new_accounts;
mod races;
mod unknown_accounts;

use serde_json::json;

use crate::support::{Answer, App, Client, PASSWORD, Served, TestDb, add_user};

const KIM: &str = "kim@example.com";
const ALEX: &str = "alex@example.com";
/// The address of a stranger.
const FROM: &str = "198.51.100.1";
const WRONG: &str = "not the password 1";
/// How many wrong passwords are free for an account, and for an address.
const FREE: usize = 10;
const FREE_OF_ADDRESS: usize = 50;

/// A served program with two people, that believes the forwarding headers of this machine.
fn serve(db: &TestDb) -> App {
    add_user(db, KIM, "owner");
    add_user(db, ALEX, "member");
    node(db)
}

fn node(db: &TestDb) -> App {
    App::start(db, &[("SESSILE_TRUSTED_PROXIES", "127.0.0.0/8"), ("SESSILE_SESSIONS_PER_ACCOUNT", "0")])
}

/// A login from this address, in a browser with the client's cookies.
fn try_from(client: &mut Client, ip: &str, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password}).to_string();
    let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", ip)];
    client.send("POST", "/api/establish-session", &headers, body.as_bytes())
}

/// Wrong passwords for an account from a stranger at this address, all of which must be looked at.
fn guess(db: &TestDb, server: &Served, email: &str, times: usize) {
    guess_from(db, server, FROM, email, times);
}

fn guess_from(db: &TestDb, server: &Served, ip: &str, email: &str, times: usize) {
    for n in 0..times {
        let answer = try_from(&mut server.client(), ip, email, WRONG);
        assert_eq!(answer.status, 401, "guess {n}: {answer:?}");
    }
    hold(db);
}

/// A 429 that says how long to wait, and leaves the cookies alone.
fn wait_of(answer: &Answer) -> u64 {
    assert_eq!((answer.status, answer.problem().as_str()), (429, "too-many-attempts"), "{answer:?}");
    assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
    let wait = answer.header("retry-after").and_then(|value| value.parse().ok());
    wait.unwrap_or_else(|| panic!("a time to wait: {answer:?}"))
}

/// As if the last wrong password had come just now, however slow this machine is: the next look sets a time in the future to
/// now.
fn hold(db: &TestDb) {
    db.sql("UPDATE throttle_counts SET last_failed_at = INSTANT(600) WHERE failures > 0");
}

/// As if the last wrong password had come so many seconds ago.
fn pass(db: &TestDb, seconds: i64) {
    db.sql(&format!("UPDATE throttle_counts SET last_failed_at = INSTANT(-{seconds}) WHERE failures > 0"));
}

fn count(db: &TestDb, what: &str) -> usize {
    db.sql(&format!("SELECT count(*) FROM {what}")).parse().expect("a number")
}

/// A browser in which this person has signed in before, and signed out.
fn known_browser(server: &Served, email: &str) -> Client {
    let mut client = server.client();
    assert_eq!(try_from(&mut client, "192.0.2.77", email, PASSWORD).status, 200);
    assert_eq!(client.send("DELETE", "/api/session", &[], b"").status, 204);
    client
}
