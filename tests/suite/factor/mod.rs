//! The second factor: the authenticator app and the recovery codes, from the set-up to the sign-in, and attacks on them. On
//! both engines.

mod changes;
mod dashboard;
mod half;
mod set_up;
mod sign_in;
mod stolen;

use serde_json::{Value, json};
use sessile::base::{base32, clock::Clock, instant::Instant, totp};

use crate::support::{Answer, App, Client, PASSWORD, TestDb, add_user};

/// The account of every case.
const KIM: &str = "kim@example.com";

/// A served program with an owner.
fn serve(db: &TestDb) -> App {
    add_user(db, KIM, "owner");
    App::start(db, &[])
}

fn signed_in(server: &App) -> Client {
    let mut client = server.client();
    client.log_in(KIM);
    client
}

/// An authenticator app on a phone.
pub struct Phone(Vec<u8>);

impl Phone {
    /// With the key that a page or an answer shows.
    pub fn with_key(key: &str) -> Self {
        Self(base32::decode(&key.replace(' ', "")).expect("a key in base32"))
    }

    /// The code of now.
    pub fn code(&self) -> String {
        self.code_after(0)
    }

    /// The code so many periods of 30 seconds from now.
    fn code_after(&self, periods: i64) -> String {
        totp::code(&self.0, totp::step_at(now()) + periods)
    }

    /// A code that is not right now, nor near.
    pub fn wrong_code(&self) -> String {
        let near: Vec<String> = (-30..=30).map(|periods| self.code_after(periods)).collect();
        (100_000..).map(|number| number.to_string()).find(|code| !near.contains(code)).expect("a number")
    }
}

fn now() -> Instant {
    Clock::default().now()
}

/// Sets an app up with the API. Returns it, and the recovery codes.
fn set_up(client: &mut Client) -> (Phone, Vec<String>) {
    let answer = client.json("POST", "/api/second-factor/app", &json!({}));
    assert_eq!(answer.status, 200, "{answer:?}");
    let phone = Phone::with_key(answer.json()["secret"].as_str().expect("a secret"));
    let answer = add(client, &phone.code());
    assert_eq!(answer.status, 200, "{answer:?}");
    let codes = texts(&answer.json()["recoveryCodes"]);
    (phone, codes)
}

fn add(client: &mut Client, code: &str) -> Answer {
    client.json("PUT", "/api/second-factor/app", &json!({ "code": code }))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(|one| one.as_str().expect("a text").to_owned()).collect()
}

/// Lets the code of now count as new, as if time had passed.
fn let_time_pass(db: &TestDb) {
    db.sql("UPDATE totp_apps SET last_step = 0");
}

/// Makes the wait after too many tries so long that it does not end during a case.
pub fn lengthen_waits(db: &TestDb) {
    db.sql("UPDATE throttle_counts SET failures = failures + 9 WHERE failures >= 10");
}

/// Makes all confirmations older than ten minutes.
fn let_confirmations_lapse(db: &TestDb) {
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(-660)");
    db.sql("UPDATE sessions SET second_factor_at = INSTANT(-660) WHERE second_factor_at IS NOT NULL");
}

/// Signs in with the API.
fn log_in_with(client: &mut Client, password: &str, code: &str) -> Answer {
    client.json("POST", "/api/establish-session", &json!({"email": KIM, "password": password, "code": code}))
}

/// Sends the login page's form.
fn log_in_by_page(client: &mut Client, next: &str) -> Answer {
    let csrf = client.form_token("/login");
    client.form("/login", &[("csrf", &csrf), ("email", KIM), ("password", PASSWORD), ("next", next)])
}

/// Sends the code on the page of the second step.
fn second_step(client: &mut Client, code: &str) -> Answer {
    let page = client.get("/login/second");
    if page.status != 200 {
        return page;
    }
    client.form("/login/second", &[("csrf", &page.form_token()), ("code", code)])
}

/// Confirms on the page for it. An empty code is none.
fn confirm(client: &mut Client, code: &str) -> Answer {
    let csrf = client.form_token("/confirm");
    let fields = [("csrf", csrf.as_str()), ("password", PASSWORD), ("code", code), ("next", "/account/security")];
    client.form("/confirm", &fields)
}

/// Sends a form of a page behind the sign-in.
fn form(client: &mut Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = client.form_token("/account/security");
    let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
    client.form(path, &fields)
}

fn leads_to(answer: &Answer, address: &str) {
    assert_eq!((answer.status, answer.header("location")), (303, Some(address)), "{answer:?}");
}

fn is_refused(answer: &Answer, methods: &[&str]) {
    assert_eq!((answer.status, answer.problem().as_str()), (401, "second-factor-required"), "{answer:?}");
    assert_eq!(answer.json()["methods"], json!(methods), "{answer:?}");
    assert!(answer.sets("aiq_session").is_none() && answer.sets("aiq_device").is_none(), "{answer:?}");
}

fn needs_confirmation(answer: &Answer) {
    assert_eq!((answer.status, answer.problem().as_str()), (403, "confirmation-required"), "{answer:?}");
}

fn count(db: &TestDb, what: &str) -> usize {
    db.sql(&format!("SELECT count(*) FROM {what}")).parse().expect("a number")
}

/// How many events of this kind there are.
fn events(db: &TestDb, kind: &str) -> usize {
    count(db, &format!("audit WHERE kind = '{kind}'"))
}

/// The assurance level and the methods of the client's session.
fn level(client: &mut Client) -> (Value, Value) {
    let session = client.get("/api/session").json()["session"].clone();
    (session["aal"].clone(), session["amr"].clone())
}
