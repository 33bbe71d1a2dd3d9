//! The served program over HTTP, on SQLite: the contract's promises about cookies, forms, headers and answers, and that
//! no malformed request makes it fail.

mod account;
mod activity;
mod apps_pages;
mod audit_of_logins;
mod bodies;
mod brand;
mod confirm;
mod cookies;
mod devices;
mod error_pages;
mod forms_shown_again;
mod hand_over;
pub mod headers;
mod limits;
mod links;
mod links_end;
mod log;
mod login;
mod login_refusals;
mod lost_answers;
mod mail;
mod navigation_from_elsewhere;
mod new_addresses;
mod odd;
mod openapi;
mod operations;
mod origin;
mod passwords;
mod proxies;
mod pwa;
mod rate_limits;
mod raw;
mod return_to;
mod safe_methods;
mod session_data;
mod session_ends;
mod setup;
mod signup;
mod stolen_database;
mod time_zones;
mod visitors;
mod wrong_address;

use actix_web::cookie::Cookie;
use serde_json::{Value, json};

use crate::support::{Answer, App, Client, Engine, PASSWORD, Server, TestDb, add_user};

/// The owner, an account of every case.
const KIM: &str = "kim@example.com";
/// Another account, for cases that need it.
const ALEX: &str = "alex@example.com";
/// The setting for an https origin.
const HTTPS: (&str, &str) = ("SESSILE_PUBLIC_URL", "https://id.example.com");

#[test]
fn login_by_api_and_read_back() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, "kim@example.com", "owner");
    let server = App::start(&db, &[]);
    let mut client = server.client();
    assert_eq!(client.try_log_in("kim@example.com", "wrong password").problem(), "invalid-credentials");
    let answer = client.try_log_in("KIM@example.com", PASSWORD);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(client.get("/api/session").json()["user"]["email"], "kim@example.com");
}

/// A served program whose owner is [`KIM`].
fn serve(more: &[(&str, &str)]) -> (TestDb, App) {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let server = App::start(&db, more);
    (db, server)
}

/// Like [`serve`], but in a separate process whose log can be read.
fn serve_process(more: &[(&str, &str)]) -> (TestDb, Server) {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, more);
    (db, server)
}

/// Like [`serve`], but under an https origin, with a client of that origin.
fn serve_https(more: &[(&str, &str)]) -> (TestDb, App, Client) {
    let more: Vec<_> = [HTTPS].iter().chain(more).copied().collect();
    let (db, server) = serve(&more);
    let client = Client::new(&server.address, "https://id.example.com");
    (db, server, client)
}

/// Opens the login page and sends its form.
fn log_in_by_form(client: &mut Client, email: &str, next: &str) -> Answer {
    let csrf = client.form_token("/login");
    client.form("/login", &[("csrf", &csrf), ("email", email), ("password", PASSWORD), ("next", next)])
}

/// The id of the client's session.
fn session_id(client: &mut Client) -> String {
    text(&client.get("/api/session").json()["session"]["id"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}

/// The signature, session id and secret of a session cookie. The account's part between them is left out.
fn parts_of(session_cookie: &str) -> (String, String, String) {
    let cookie = Cookie::parse_encoded(format!("it={session_cookie}")).expect("a cookie").into_owned();
    let (signature, key) = cookie.value().split_at(44);
    let [id, _, secret] = key.split('.').collect::<Vec<_>>()[..] else { panic!("no session key: {key}") };
    (signature.to_owned(), id.to_owned(), secret.to_owned())
}

/// All audit events in order, each as a JSON object.
fn trail(db: &TestDb) -> Vec<Value> {
    let rows = db.sql(
        "SELECT line FROM (SELECT json_object('kind', kind, 'account', account_id, 'actor', actor, 'session', \
         session_id, 'device', device_id, 'deviceName', device_name, 'ip', ip, 'detail', detail) AS line FROM audit \
         ORDER BY rowid)",
    );
    rows.lines().map(|row| serde_json::from_str(row).expect("a row")).collect()
}

fn kinds(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| text(&event["kind"])).collect()
}

fn count(db: &TestDb, what: &str) -> usize {
    db.sql(&format!("SELECT count(*) FROM {what}")).parse().expect("a number")
}

/// Checks that nothing failed inside the program.
fn assert_unharmed(server: &Server) {
    let log = server.log();
    // A request that is not HTTP is the client's failure.
    let failed = |line: &&str| line.contains("panicked") || line.contains("ERROR") && !line.contains("parse error");
    assert_eq!(log.lines().filter(failed).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(server.client().get("/healthz").status, 200);
}

/// Checks for a 401 with this reason for the session's end.
fn assert_ended(answer: &Answer, reason: &str) {
    assert_eq!((answer.status, answer.problem().as_str()), (401, "session-ended"), "{answer:?}");
    assert_eq!(answer.json()["reason"], json!(reason), "{answer:?}");
    assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
}
