//! `/signup`, open and closed.

use super::{ALEX, KIM, count, kinds, serve, trail};
use crate::support::{Answer, App, Client, Engine, PASSWORD, TestDb, sessile};

fn sign_up(client: &mut Client, email: &str, name: &str, password: &str) -> Answer {
    let csrf = client.form_token("/signup");
    client.form("/signup", &[("csrf", &csrf), ("email", email), ("name", name), ("password", password)])
}

#[test]
fn a_closed_signup_is_not_found() {
    let (_db, server) = serve(&[]);
    assert_eq!(server.client().get("/signup").status, 404);
    let answer = server.client().form("/signup", &[("email", ALEX), ("password", PASSWORD)]);
    assert!(matches!(answer.status, 403 | 404), "{answer:?}");
    assert!(!server.client().get("/login").body.contains("/signup"));
}

#[test]
fn signup_is_closed_without_an_owner() {
    let db = TestDb::new(Engine::Sqlite);
    let server = App::start(&db, &[("SESSILE_SIGNUP", "open")]);
    assert_eq!(server.client().get("/signup").status, 404);
    assert_eq!(count(&db, "accounts"), 0);
}

#[test]
fn anyone_makes_an_account_of_a_member_and_is_signed_in() {
    let (db, server) = serve(&[("SESSILE_SIGNUP", "open")]);
    assert!(server.client().get("/login").body.contains("href=\"/signup\""));
    let mut client = server.client();
    let answer = sign_up(&mut client, " Alex@Example.com ", "Alex", "tide pool limpet 77");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/dashboard")), "{answer:?}");
    let user = client.get("/api/session").json()["user"].clone();
    assert_eq!((&user["email"], &user["role"]), (&"Alex@Example.com".into(), &"member".into()));
    assert_eq!(client.get("/signup").header("location"), Some("/dashboard"));
    let events = kinds(&trail(&db));
    assert!(
        events.ends_with(&["account.created", "login.succeeded", "device.new", "session.created"].map(str::to_owned))
    );
    assert_eq!(server.client().try_log_in(ALEX, "tide pool limpet 77").status, 200);
}

#[test]
fn a_taken_address_leads_to_the_login_and_keeps_next() {
    let (_db, server) = serve(&[("SESSILE_SIGNUP", "open")]);
    let mut client = server.client();
    let login = client.get("/login?next=%2Fdevices").body;
    assert!(login.contains("href=\"/signup?next=%2Fdevices\""), "{login}");
    let csrf = client.form_token("/signup?next=%2Fdevices");
    let fields = [("csrf", csrf.as_str()), ("name", "Kim"), ("password", "tide pool limpet 77"), ("next", "/devices")];
    let taken = client.form("/signup", &[&fields[..], &[("email", KIM)]].concat());
    assert_eq!(taken.status, 422, "{taken:?}");
    let (_, message) = taken.body.split_once("id=\"email-error\"").expect("a message beside the field");
    let link = "<a href=\"/login?next=%2Fdevices\" data-carry-email>Sign in instead</a>";
    assert!(message.contains(link) && !taken.body.contains("email="), "{}", taken.body);
    let new = client.form("/signup", &[&fields[..], &[("email", ALEX)]].concat());
    assert_eq!((new.status, new.header("location")), (303, Some("/devices")), "{new:?}");
    let csrf = server.client().get("/signup?next=//evil.example").body;
    assert!(!csrf.contains("evil.example"), "{csrf}");
}

#[test]
fn errors_are_beside_their_fields_and_the_input_is_kept() {
    let (db, server) = serve(&[("SESSILE_SIGNUP", "open")]);
    let mut client = server.client();
    let cases = [
        ("KIM@example.com", "Alex", "tide pool limpet 77", "email-error", "already an account with this email"),
        ("alex", "Alex", "tide pool limpet 77", "email-error", "whole email address"),
        (ALEX, "a\u{202E}b", "tide pool limpet 77", "name-error", "can be read"),
        (ALEX, "Alex", "tide pool", "password-error", "at least 12"),
        (ALEX, "Alex", "qwertyuiop12", "password-error", "many people use"),
        (ALEX, "Alexandrina", "alexandrina1", "password-error", "easy to guess"),
    ];
    for (email, name, password, place, words) in cases {
        let answer = sign_up(&mut client, email, name, password);
        assert_eq!(answer.status, 422, "{email} {answer:?}");
        assert!(answer.body.contains(place) && answer.body.contains(words), "{}", answer.body);
        assert!(answer.body.contains(email) && answer.body.contains(name) && !answer.body.contains(password));
    }
    assert_eq!((count(&db, "accounts"), count(&db, "sessions")), (1, 0));
}

#[test]
fn weak_passwords_are_refused_by_the_commands_too() {
    let db = TestDb::new(Engine::Sqlite);
    for password in ["short", "password1234", "kim@example.com"] {
        let out = sessile(&db, &["user", "add", "--email", KIM, "--password-stdin"], password);
        let words = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{password}");
        assert!(words.contains("the password cannot be used") && words.lines().count() == 1, "{words}");
    }
}
