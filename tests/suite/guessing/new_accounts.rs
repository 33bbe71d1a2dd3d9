//! New accounts from one network are counted, even successful ones, before anything expensive happens.

use super::{FROM, KIM, count, guess_from, hold, try_from};
use crate::support::{Answer, App, Client, PASSWORD, Served, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_network_creates_some_accounts_and_then_waits,
    a_refused_password_is_not_counted,
    an_invalid_link_costs_no_hash,
    the_setup_counts,
}

/// The accounts that a network may create without a wait.
const FREE_NEW: usize = 50;

fn send(client: &mut Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = client.form_token("/login");
    let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("X-Forwarded-For", FROM)];
    client.send("POST", path, &headers, body.as_bytes())
}

fn sign_up(server: &Served, email: &str, password: &str) -> Answer {
    send(&mut server.client(), "/signup", &[("email", email), ("name", "New"), ("password", password)])
}

fn open(db: &TestDb) -> App {
    add_user(db, KIM, "owner");
    App::start(db, &[("SESSILE_SIGNUP", "open"), ("SESSILE_TRUSTED_PROXIES", "127.0.0.0/8")])
}

async fn a_network_creates_some_accounts_and_then_waits(db: TestDb) {
    let server = open(&db);
    for n in 1..=2 {
        let answer = sign_up(&server, &format!("new{n}@example.com"), PASSWORD);
        assert_eq!(answer.status, 303, "{answer:?}");
        assert_eq!(db.sql("SELECT max(failures) FROM throttle_counts"), n.to_string());
    }
    db.sql(&format!("UPDATE throttle_counts SET failures = {} WHERE failures = 2", FREE_NEW - 1));
    assert_eq!(sign_up(&server, "new3@example.com", PASSWORD).status, 303);
    hold(&db);
    let answer = sign_up(&server, "new4@example.com", PASSWORD);
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")), "{answer:?}");
    assert!(
        answer.body.contains("Too many attempts from your network. Wait a moment, then try again."),
        "{}",
        answer.body
    );
    assert!(answer.body.contains("new4@example.com") && !answer.body.contains(PASSWORD), "{}", answer.body);
    assert_eq!(count(&db, "accounts"), 4);
    assert_eq!(try_from(&mut server.client(), FROM, KIM, PASSWORD).status, 200, "signing in has its own count");
    db.sql("UPDATE throttle_counts SET last_failed_at = INSTANT(-3601) WHERE failures > 0");
    assert_eq!(sign_up(&server, "new4@example.com", PASSWORD).status, 303, "the count is reset after an hour");
}

async fn a_refused_password_is_not_counted(db: TestDb) {
    let server = open(&db);
    for weak in ["short", "password1234", "new@example.com"] {
        assert_eq!(sign_up(&server, "new@example.com", weak).status, 422, "{weak}");
    }
    assert_eq!((count(&db, "throttle_tries"), count(&db, "throttle_counts WHERE failures > 0")), (0, 0));
    assert_eq!(sign_up(&server, "new@example.com", PASSWORD).status, 303);
}

async fn an_invalid_link_costs_no_hash(db: TestDb) {
    let server = App::start(&db, &[("SESSILE_TRUSTED_PROXIES", "127.0.0.0/8")]);
    let token = server.setup_token();
    let fields = |token| [("token", token), ("email", KIM), ("name", "Kim"), ("password", PASSWORD)];
    let wrong = "x".repeat(43);
    for _ in 0..3 {
        assert_eq!(send(&mut server.client(), "/setup", &fields(wrong.as_str())).status, 403);
    }
    // A hash is computed only after the try is counted.
    assert_eq!(count(&db, "throttle_counts"), 0);
    assert_eq!(send(&mut server.client(), "/setup", &fields(token.as_str())).status, 303);
    assert_eq!(send(&mut server.client(), "/setup", &fields(token.as_str())).status, 403);
    assert_eq!(db.sql("SELECT max(failures) FROM throttle_counts"), "1", "the one that created an account");
}

async fn the_setup_counts(db: TestDb) {
    add_user(&db, KIM, "member");
    let server = App::start(&db, &[("SESSILE_TRUSTED_PROXIES", "127.0.0.0/8")]);
    let token = server.setup_token();
    let taken = [("token", token.as_str()), ("email", KIM), ("name", "Kim"), ("password", PASSWORD)];
    guess_from(&db, &server, FROM, "nobody@example.com", 1);
    // Wrong passwords from the same network do not disable the link.
    db.sql("UPDATE throttle_counts SET failures = 60");
    hold(&db);
    assert_eq!(send(&mut server.client(), "/setup", &taken).status, 422);
    let counted = format!("UPDATE throttle_counts SET failures = {FREE_NEW} WHERE failures = 1");
    db.sql(&counted);
    hold(&db);
    let answer = send(&mut server.client(), "/setup", &taken);
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")), "{answer:?}");
}
