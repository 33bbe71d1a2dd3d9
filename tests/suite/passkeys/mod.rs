//! Passkeys over HTTP, with an authenticator in software: adding them, signing in, the second step, confirming, and looking
//! after them. On both engines.

mod adding;
#[path = "../../../src/base/webauthn/test_authenticator.rs"]
pub mod authenticator;
mod confirming;
mod managing;
mod second_step;
mod signing_in;

use serde_json::{Value, json};

use self::authenticator::{Authenticator, Twist};
use crate::support::{Answer, App, Client, PASSWORD, TestDb, add_user};

/// The owner, an account of every case.
const KIM: &str = "kim@example.com";
/// A member.
const SAM: &str = "sam@example.com";
/// The public origin of cases with two nodes.
const SHARED: &str = "http://localhost:8099";

/// A served program with two accounts.
fn serve(db: &TestDb, more: &[(&str, &str)]) -> App {
    add_user(db, KIM, "owner");
    add_user(db, SAM, "member");
    App::start(db, more)
}

/// Two nodes under one origin, each with a client.
fn serve_two(db: &TestDb) -> ([App; 2], [Client; 2]) {
    let one = serve(db, &[("SESSILE_PUBLIC_URL", SHARED)]);
    let other = App::start(db, &[("SESSILE_PUBLIC_URL", SHARED)]);
    let clients = [Client::new(&one.address, SHARED), Client::new(&other.address, SHARED)];
    ([one, other], clients)
}

pub fn origin(server: &App) -> String {
    format!("http://localhost:{}", server.port)
}

/// A client that is signed in, and has a passkey on a security key.
fn with_passkey(server: &App, email: &str) -> (Client, Authenticator) {
    let (mut client, mut key) = (server.client(), Authenticator::new(&origin(server)));
    client.log_in(email);
    let added = add(&mut client, &mut key, &Twist::default());
    assert_eq!(added.status, 201, "{added:?}");
    (client, key)
}

fn ask(client: &mut Client, what: &str) -> Value {
    let asked = client.json("POST", &format!("/api/passkeys{what}/options"), &json!({}));
    assert_eq!(asked.status, 200, "{asked:?}");
    asked.json()
}

/// The body that answers a question.
fn answered(asked: &Value, credential: &Value) -> Value {
    json!({"state": asked["state"], "credential": credential})
}

pub fn add(client: &mut Client, key: &mut Authenticator, twist: &Twist) -> Answer {
    let asked = ask(client, "");
    let credential = key.create(&asked["options"], twist);
    client.json("POST", "/api/passkeys", &answered(&asked, &credential))
}

pub fn sign_in(client: &mut Client, key: &mut Authenticator, twist: &Twist) -> Answer {
    let asked = ask(client, "/sign-in");
    let credential = key.get(&asked["options"], twist);
    client.json("POST", "/api/passkeys/sign-in", &answered(&asked, &credential))
}

pub fn confirm(client: &mut Client, key: &mut Authenticator, twist: &Twist) -> Answer {
    let asked = ask(client, "/confirm");
    let credential = key.get(&asked["options"], twist);
    client.json("POST", "/api/passkeys/confirm", &answered(&asked, &credential))
}

/// Sends the login form with the right password.
fn give_password(client: &mut Client, email: &str) -> Answer {
    let csrf = client.form_token("/login");
    client.form("/login", &[("csrf", &csrf), ("email", email), ("password", PASSWORD)])
}

fn session(client: &mut Client) -> Value {
    client.get("/api/session").json()["session"].clone()
}

fn assert_signed_out(client: &mut Client) {
    assert_eq!(client.get("/api/session").status, 401);
}

fn count(db: &TestDb, what: &str) -> usize {
    db.sql(&format!("SELECT count(*) FROM {what}")).parse().expect("a number")
}

fn let_confirmations_lapse(db: &TestDb) {
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(-660), second_factor_at = INSTANT(-660)");
}

fn id_of(db: &TestDb, email: &str) -> String {
    db.sql(&format!("SELECT id FROM accounts WHERE email = '{email}'"))
}

/// The kinds of the account's events, oldest first.
fn kinds(db: &TestDb, email: &str) -> Vec<String> {
    let rows = db.sql(&format!("SELECT kind FROM audit WHERE account_id = '{}' ORDER BY id", id_of(db, email)));
    rows.lines().map(str::to_owned).collect()
}

/// The wrong answers, each with its name.
fn wrong() -> Vec<(&'static str, Twist)> {
    vec![
        ("another origin", Twist { origin: Some("https://evil.example"), ..Twist::default() }),
        ("a subdomain", Twist { origin: Some("http://a.localhost"), ..Twist::default() }),
        ("a frame of another site", Twist { is_cross_origin: true, ..Twist::default() }),
        ("another relying party", Twist { rp_id: Some("evil.example"), ..Twist::default() }),
        ("nobody was verified", Twist { is_unverified: true, ..Twist::default() }),
        (
            "another challenge",
            Twist { challenge: Some("dGhpcyBpcyBub3QgdGhlIGNoYWxsZW5nZQ".into()), ..Twist::default() },
        ),
        ("another ceremony", Twist { kind: Some("webauthn.other"), ..Twist::default() }),
    ]
}
