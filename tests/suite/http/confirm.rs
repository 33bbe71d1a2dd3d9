//! `/confirm`: giving the password again.

use super::{KIM, assert_ended, kinds, serve, session_id, trail};
use crate::support::{Answer, Client, PASSWORD};

fn confirm(client: &mut Client, password: &str, next: &str) -> Answer {
    let csrf = client.form_token("/confirm");
    client.form("/confirm", &[("csrf", &csrf), ("password", password), ("next", next)])
}

#[test]
fn a_confirmation_rotates_the_key_and_the_old_key_is_dead() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    db.sql("UPDATE sessions SET authenticated_at = authenticated_at - 3600000000");
    let old = (session_id(&mut client), client.cookies.clone(), db.sql("SELECT created_at FROM sessions"));
    let page = client.get("/confirm?next=/account");
    assert!(page.body.contains("value=\"/account\""), "{}", page.body);
    let answer = confirm(&mut client, PASSWORD, "/account");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/account")), "{answer:?}");
    assert!(answer.sets("aiq_session").is_some());
    assert_ne!(session_id(&mut client), old.0);
    let mut before = server.client();
    before.cookies = old.1;
    assert_ended(&before.get("/api/session"), "unknown");
    assert_eq!(db.sql("SELECT created_at FROM sessions"), old.2, "the confirmation does not extend the session");
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE authenticated_at > INSTANT(-60)"), "1");
    let events = trail(&db);
    assert_eq!(kinds(&events)[events.len() - 2..], ["login.confirmed", "session.regenerated"]);
}

#[test]
fn a_wrong_password_is_shown_and_a_foreign_next_is_ignored() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    assert_eq!(
        client.get("/confirm?next=/account").header("location"),
        Some("/login?next=%2Fconfirm%3Fnext%3D%2Faccount")
    );
    client.log_in(KIM);
    for (password, status) in [("wrong password 1", 401), ("", 422)] {
        let answer = confirm(&mut client, password, "/account");
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains("password-error") && answer.body.contains("value=\"/account\""));
    }
    assert_eq!(client.get("/api/session").status, 200);
    let answer = confirm(&mut client, PASSWORD, "https://evil.example/");
    assert_eq!(answer.header("location"), Some("/dashboard"));
}

#[test]
fn a_session_that_ended_meanwhile_is_not_confirmed() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let csrf = client.form_token("/confirm");
    db.sql("UPDATE sessions SET ended_at = INSTANT(-1), ended_reason = 'revoked', ended_by = 'operator'");
    let answer = client.form("/confirm", &[("csrf", &csrf), ("password", PASSWORD)]);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/login")), "{answer:?}");
    assert!(answer.sets("aiq_session").is_none());
}
