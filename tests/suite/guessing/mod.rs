//! Guessing passwords: how many tries are allowed, which count they go to, and that guessing locks nobody else out.
//! Served programs on both engines. The cases age the counts instead of waiting.

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
/// The IP address of a stranger.
const FROM: &str = "198.51.100.1";
const WRONG: &str = "not the password 1";
/// The free wrong passwords of an account, and of an address.
const FREE: usize = 10;
const FREE_OF_ADDRESS: usize = 50;

/// A served program with two accounts. It trusts the forwarding headers of this machine.
fn serve(db: &TestDb) -> App {
    add_user(db, KIM, "owner");
    add_user(db, ALEX, "member");
    node(db)
}

fn node(db: &TestDb) -> App {
    App::start(db, &[("SESSILE_TRUSTED_PROXIES", "127.0.0.0/8"), ("SESSILE_SESSIONS_PER_ACCOUNT", "0")])
}

/// Logs in from this address with the client's cookies.
fn try_from(client: &mut Client, ip: &str, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password}).to_string();
    let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", ip)];
    client.send("POST", "/api/establish-session", &headers, body.as_bytes())
}

/// Sends wrong passwords for an account from a stranger's address. All of them must be checked.
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

/// The `Retry-After` of a 429, which must not set cookies.
fn wait_of(answer: &Answer) -> u64 {
    assert_eq!((answer.status, answer.problem().as_str()), (429, "too-many-attempts"), "{answer:?}");
    assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
    let wait = answer.header("retry-after").and_then(|value| value.parse().ok());
    wait.unwrap_or_else(|| panic!("a time to wait: {answer:?}"))
}

/// Sets the last wrong password to a time in the future, which the next check resets to now. So the wait begins at that
/// check, however slow this machine is.
fn hold(db: &TestDb) {
    db.sql("UPDATE throttle_counts SET last_failed_at = INSTANT(600) WHERE failures > 0");
}

/// Makes the last wrong password `seconds` old.
fn pass(db: &TestDb, seconds: i64) {
    db.sql(&format!("UPDATE throttle_counts SET last_failed_at = INSTANT(-{seconds}) WHERE failures > 0"));
}

fn count(db: &TestDb, what: &str) -> usize {
    db.sql(&format!("SELECT count(*) FROM {what}")).parse().expect("a number")
}

/// A client in which the person has signed in and out before.
fn known_browser(server: &Served, email: &str) -> Client {
    let mut client = server.client();
    assert_eq!(try_from(&mut client, "192.0.2.77", email, PASSWORD).status, 200);
    assert_eq!(client.send("DELETE", "/api/session", &[], b"").status, 204);
    client
}
