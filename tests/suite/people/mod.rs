//! People who manage people: roles, the list and the page of one person, deletion and export. On both engines.

mod deletion;
mod export;
mod forms;
mod invited;
mod last_owner;
mod list;
mod plans;
mod roles;

use serde_json::Value;

use crate::support::{Answer, App, Client, PASSWORD, TestDb, add_user};

/// The owner, an account of every case.
const KIM: &str = "kim@example.com";
/// An admin.
const ALEX: &str = "alex@example.com";
/// A member.
const SAM: &str = "sam@example.com";

/// A served program with an owner, an admin and a member. Returns their ids.
fn serve(db: &TestDb) -> (App, [String; 3]) {
    let ids = [add_user(db, KIM, "owner"), add_user(db, ALEX, "admin"), add_user(db, SAM, "member")];
    (App::start(db, &[("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32")]), ids)
}

fn signed_in(server: &App, email: &str) -> Client {
    let mut client = server.client();
    client.log_in(email);
    client
}

fn form(client: &mut Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = client.form_token("/account");
    let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
    client.form(path, &fields)
}

fn leads_to(answer: &Answer, address: &str) {
    assert_eq!((answer.status, answer.header("location")), (303, Some(address)), "{answer:?}");
}

fn count(db: &TestDb, what: &str) -> usize {
    db.sql(&format!("SELECT count(*) FROM {what}")).parse().expect("a number")
}

fn let_confirmations_lapse(db: &TestDb) {
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(-660)");
}

/// The kinds of the account's events, oldest first, each with its actor.
fn events(db: &TestDb, account_id: &str) -> Vec<(String, String)> {
    let rows = db.sql(&format!("SELECT kind || ' ' || actor FROM audit WHERE account_id = '{account_id}' ORDER BY id"));
    rows.lines()
        .filter_map(|row| row.split_once(' '))
        .map(|(kind, actor)| (kind.to_owned(), actor.to_owned()))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}

/// Signs in from this address on a device with this name.
fn sign_in_from(client: &mut Client, email: &str, device: &str, ip: &str) {
    let body = serde_json::json!({"email": email, "password": PASSWORD, "device": {"name": device}}).to_string();
    let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", ip)];
    let answer = client.send("POST", "/api/establish-session", &headers, body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
}
