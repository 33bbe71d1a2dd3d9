//! `/account`: changing the name and the password.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::{ALEX, KIM, assert_ended, count, kinds, serve, session_id, trail};
use crate::support::{Answer, Client, PASSWORD, TestDb, add_user};

const NEW: &str = "tide pool limpet 77";

fn change(client: &mut Client, fields: &[(&str, &str)]) -> Answer {
    let csrf = client.form_token("/account");
    let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
    client.form("/account", &fields)
}

#[test]
fn a_new_name_is_shown_everywhere_and_a_bad_one_is_refused() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let answer = change(&mut client, &[("name", "  Kimberley <b>Lee</b> ")]);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/account?done=name")), "{answer:?}");
    assert_eq!(client.get("/api/session").json()["user"]["name"], "Kimberley <b>Lee</b>");
    let page = client.get("/account?done=name").body;
    assert!(page.contains("Your name was changed.") && page.contains("Kimberley &#60;b&#62;Lee"), "{page}");
    let long = "x".repeat(81);
    for (name, words) in [("   ", "Enter your name."), ("gnp.\u{202E}exe", "Choose a name"), (&long, "at most 80")] {
        let answer = change(&mut client, &[("name", name)]);
        assert_eq!(answer.status, 422, "{answer:?}");
        assert!(answer.body.contains(words) && answer.body.contains("name-error"), "{}", answer.body);
        assert!(answer.body.contains(name.trim()), "the input is kept");
    }
    assert_eq!(client.get("/api/session").json()["user"]["name"], "Kimberley <b>Lee</b>");
}

/// `/.well-known/change-password` works signed in or not, and from any site.
#[test]
fn password_managers_find_the_page_for_a_new_password() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    for headers in
        [&[][..], &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]]
    {
        let answer = client.send("GET", "/.well-known/change-password", headers, b"");
        assert_eq!((answer.status, answer.header("location")), (303, Some("/account")), "{answer:?}");
    }
    client.log_in(KIM);
    let answer = client.get("/.well-known/change-password");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/account")), "{answer:?}");
    assert_eq!(client.get("/.well-known/nonsense").status, 404);
}

#[test]
fn a_new_password_needs_the_current_one_and_ends_other_sessions() {
    let (db, server) = serve(&[]);
    let (mut client, mut other) = (server.client(), server.client());
    client.log_in(KIM);
    other.log_in(KIM);
    let kept = [("current_password", PASSWORD), ("password", NEW)];
    let before = (session_id(&mut client), client.cookies.clone());
    let answer = change(&mut client, &kept);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/account?done=password")), "{answer:?}");
    assert_eq!(other.get("/api/session").status, 200);
    assert_ne!(session_id(&mut client), before.0, "this session has a new id");
    let mut old = server.client();
    old.cookies = before.1;
    assert_ended(&old.get("/api/session"), "unknown");

    let ending = [("current_password", NEW), ("password", PASSWORD), ("end_others", "yes")];
    let answer = change(&mut client, &ending);
    assert_eq!(answer.header("location"), Some("/account?done=password-everywhere"), "{answer:?}");
    assert_ended(&other.get("/api/session"), "revoked");
    assert_eq!(client.get("/api/session").status, 200);
    assert_eq!(server.client().try_log_in(KIM, NEW).status, 401);
    assert_eq!(server.client().try_log_in(KIM, PASSWORD).status, 200);
    let events = kinds(&trail(&db));
    let of = |kind: &str| events.iter().filter(|one| *one == kind).count();
    assert_eq!((of("password.changed"), of("session.regenerated"), of("session.revoked")), (2, 2, 1), "{events:?}");
    assert_eq!(count(&db, "sessions WHERE ended_reason = 'password-changed'"), 1);
}

#[test]
fn wrong_or_weak_passwords_change_nothing_and_are_not_echoed() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    type Typed<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(Typed<'_>, u16, &str, &str)] = &[
        (
            &[("current_password", "wrong password 1"), ("password", NEW)],
            401,
            "current_password-error",
            "not the password you have now",
        ),
        (&[("current_password", ""), ("password", NEW)], 422, "current_password-error", "Enter the password"),
        (&[("current_password", PASSWORD), ("password", "short")], 422, "password-error", "at least 12"),
        (&[("current_password", PASSWORD), ("password", "password1234")], 422, "password-error", "many people use"),
        (&[("current_password", PASSWORD), ("password", "kim@example.com")], 422, "password-error", "easy to guess"),
        (&[("current_password", PASSWORD), ("password", "")], 422, "password-error", "at least 12"),
    ];
    for (fields, status, place, words) in cases {
        let answer = change(&mut client, fields);
        assert_eq!(answer.status, *status, "{fields:?} {answer:?}");
        assert!(answer.body.contains(place) && answer.body.contains(words), "{fields:?} {}", answer.body);
        for (_, typed) in fields.iter().filter(|(_, typed)| typed.len() > 5 && *typed != KIM) {
            assert!(!answer.body.contains(typed), "{typed} is shown again");
        }
        assert!(!answer.body.contains(" checked"), "the box stays unticked");
    }
    assert_eq!(count(&db, "audit WHERE kind = 'password.changed'"), 0);
    assert_eq!(server.client().try_log_in(KIM, PASSWORD).status, 200);
}

#[test]
fn the_page_needs_a_login_and_a_fresh_form() {
    let (db, server) = serve(&[]);
    add_user(&db, ALEX, "member");
    let mut client = server.client();
    assert_eq!(client.get("/account").header("location"), Some("/login?next=%2Faccount"));
    client.log_in(KIM);
    let stale = client.form_token("/account");
    client.log_in(KIM);
    let answer = client.form("/account", &[("csrf", &stale), ("name", "Another")]);
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.body.contains("Another") && answer.body.contains("had been open for a while"));
    assert_eq!(change(&mut client, &[]).status, 400);
    assert_eq!(client.get("/api/session").json()["user"]["name"], "Kim Lee");
}

#[test]
fn a_hash_of_weaker_parameters_is_replaced_at_the_next_login() {
    let (db, server) = serve(&[]);
    // The tests' password, hashed with Argon2id with 4 MiB and one pass.
    let weaker = "$argon2id$v=19$m=4096,t=1,p=1$c2l4dGVlbiBieXRlcyBvZg$H+xzsnL17IsclE3s3KgC3rWIJY7cFJ0IMk2FSoViZ1k";
    db.sql(&format!("UPDATE accounts SET password_hash = '{weaker}'"));
    assert_eq!(server.client().try_log_in(KIM, "wrong password 1").status, 401);
    assert_eq!(db.sql("SELECT password_hash FROM accounts"), weaker);
    assert_eq!(server.client().try_log_in(KIM, PASSWORD).status, 200);
    let stronger = db.sql("SELECT password_hash FROM accounts");
    assert!(stronger.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stronger}");
    assert_eq!(server.client().try_log_in(KIM, PASSWORD).status, 200);
    assert_eq!(db.sql("SELECT password_hash FROM accounts"), stronger);
}

#[test]
fn a_new_name_is_an_event_once() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    for _ in 0..2 {
        assert_eq!(change(&mut client, &[("name", "Kimberley")]).status, 303);
    }
    let events = trail(&db);
    let renamed: Vec<_> = events.iter().filter(|event| event["kind"] == "account.renamed").collect();
    assert_eq!(renamed.len(), 1, "{events:?}");
    assert_eq!((&renamed[0]["detail"], &renamed[0]["ip"]), (&"was Kim Lee".into(), &"127.0.0.1".into()));
    assert!(client.get("/activity").body.contains("Name changed"));
}

/// Sends a form whose last bytes follow only after `meanwhile`, when its session has already been looked up.
fn send_late(db: &TestDb, port: u16, client: &Client, form: (&str, &str), meanwhile: impl FnOnce()) -> String {
    let (path, body) = form;
    let id = session_id(&mut client.clone());
    let cookies: Vec<String> = client.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\nConnection: close\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\nCookie: {}\r\n\r\n",
        body.len(),
        cookies.join("; ")
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let (first, last) = body.split_at(body.len() - 3);
    // A touch is due, so its write shows that the session was looked up before the body arrived.
    db.sql("UPDATE sessions SET last_activity = INSTANT(-90)");
    let touched = format!("SELECT count(*) FROM sessions WHERE id = '{id}' AND last_activity > INSTANT(-60)");
    let looked_up = || db.sql(&touched) == "1";
    stream.write_all(format!("{head}{first}").as_bytes()).unwrap();
    while !looked_up() {
        std::thread::yield_now();
    }
    meanwhile();
    stream.write_all(last.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn encoded(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// The head of the request arrives while the session lives, the end of its body later.
#[test]
fn a_body_that_arrives_after_the_session_ended_is_ignored() {
    let (db, server) = serve(&[]);
    let (mut thief, mut owner) = (server.client(), server.client());
    thief.log_in(KIM);
    owner.log_in(KIM);
    let body = encoded(&[("csrf", &thief.form_token("/account")), ("name", "Pwned")]);
    let answer = send_late(&db, server.port, &thief, ("/account", &body), || {
        assert_eq!(owner.json("POST", "/api/sessions/revoke-others", &serde_json::json!({})).json()["revoked"], 1);
    });
    assert!(answer.starts_with("HTTP/1.1 303") && answer.contains("location: /login"), "{answer}");
    assert_eq!(owner.get("/api/session").json()["user"]["name"], "Kim Lee");
    assert_eq!(count(&db, "audit WHERE kind = 'account.renamed'"), 0);
}

#[test]
fn a_right_password_for_a_session_that_has_ended_is_no_login() {
    let (db, server) = serve(&[]);
    let mut owner = server.client();
    owner.log_in(KIM);
    let forms: [(&str, &[(&str, &str)]); 2] =
        [("/confirm", &[("password", PASSWORD)]), ("/account", &[("current_password", PASSWORD), ("password", NEW)])];
    for (path, fields) in forms {
        let mut thief = server.client();
        thief.log_in(KIM);
        assert_eq!(count(&db, "accounts WHERE last_login_at > INSTANT(-60)"), 1);
        let csrf = thief.form_token("/account");
        let body = encoded(&[&[("csrf", csrf.as_str())], fields].concat());
        db.sql("UPDATE accounts SET last_login_at = INSTANT(-5000)");
        let answer = send_late(&db, server.port, &thief, (path, &body), || {
            assert_eq!(owner.json("POST", "/api/sessions/revoke-others", &serde_json::json!({})).json()["revoked"], 1);
        });
        assert!(answer.starts_with("HTTP/1.1 303") && answer.contains("location: /login"), "{answer}");
        assert_eq!(count(&db, "accounts WHERE last_login_at > INSTANT(-60)"), 0, "{path}");
    }
    assert_eq!(count(&db, "audit WHERE kind IN ('login.confirmed', 'password.changed')"), 0);
}
