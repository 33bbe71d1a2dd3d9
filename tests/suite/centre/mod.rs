//! The session centre: an account sees all its devices and sign-ins and can end them from any device, and nobody else
//! can. Runs the served program on both engines.

mod activity;
mod api;
mod devices_forgotten;
mod end_reasons_shown;
mod ending_by_form;
mod new_devices;
mod other_accounts;
mod page;
mod page_times;
pub mod query_plans;
mod recent_passwords;
mod session_limit;
pub mod statements_by_account;
mod statements_per_page;

use serde_json::{Value, json};

use crate::support::{Answer, App, Client, PASSWORD, Served, Server, TestDb, add_user};

/// The owner, an account of every case.
pub const KIM: &str = "kim@example.com";
/// Another account, for cases that need it.
pub const ALEX: &str = "alex@example.com";

/// A served program whose owner is [`KIM`].
pub fn serve(db: &TestDb) -> App {
    add_user(db, KIM, "owner");
    App::start(db, &[])
}

/// Like [`serve`], but in a separate process.
pub fn serve_process(db: &TestDb) -> Server {
    add_user(db, KIM, "owner");
    Server::start(db, &[])
}

/// A client that is signed in on a device with this name.
pub fn signed_in(server: &Served, email: &str, device: &str) -> Client {
    let mut client = server.client();
    let sent = json!({"email": email, "password": PASSWORD, "device": {"name": device}});
    let answer = client.json("POST", "/api/establish-session", &sent);
    assert_eq!(answer.status, 200, "{answer:?}");
    client
}

fn own_session(client: &mut Client) -> Value {
    let answer = client.get("/api/session");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["session"].clone()
}

fn session_id(client: &mut Client) -> String {
    text(&own_session(client)["id"])
}

fn device_id(client: &mut Client) -> String {
    text(&own_session(client)["deviceId"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}

/// Posts a form to `/devices` with the token of that page.
fn devices_form(client: &mut Client, fields: &[(&str, &str)]) -> Answer {
    form(client, "/devices", fields)
}

fn form(client: &mut Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = client.form_token("/account");
    let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
    client.form(path, &fields)
}

/// Makes every password confirmation eleven minutes old.
fn let_confirmations_lapse(db: &TestDb) {
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(-660)");
}

fn count(db: &TestDb, what: &str) -> usize {
    db.sql(&format!("SELECT count(*) FROM {what}")).parse().expect("a number")
}

fn is_signed_in(client: &mut Client) -> bool {
    client.get("/api/session").status == 200
}

fn leads_to(answer: &Answer, address: &str) {
    assert_eq!((answer.status, answer.header("location")), (303, Some(address)), "{answer:?}");
}
