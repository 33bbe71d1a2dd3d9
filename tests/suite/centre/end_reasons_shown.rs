//! The login page tells a signed-out browser who ended its session and why.

use super::{KIM, form, serve, session_id, signed_in};
use crate::support::{App, Client, PASSWORD, TestDb, add_user, on_both_engines_and_citus, sessile};

on_both_engines_and_citus! {
    another_device_is_named_as_the_reason,
    a_new_password_is_named_as_the_reason,
    the_administrator_is_named_as_the_reason,
    the_session_limit_is_named_as_the_reason,
}

fn assert_told(client: &mut Client, words: &str) {
    assert_eq!(client.get("/api/session").json()["reason"], "revoked", "the API still gives the contract's reason");
    let page = client.get("/login").body;
    assert!(page.contains(words), "{words}: {page}");
}

async fn another_device_is_named_as_the_reason(db: TestDb) {
    let server = serve(&db);
    let (mut desk, mut phone) = (signed_in(&server, KIM, "Desk"), signed_in(&server, KIM, "Phone"));
    let path = format!("/api/sessions/{}", session_id(&mut phone));
    desk.json("DELETE", &path, &serde_json::Value::Null);
    assert_told(&mut phone, "You were signed out from another device (<time ");
}

async fn a_new_password_is_named_as_the_reason(db: TestDb) {
    let server = serve(&db);
    let (mut desk, mut phone) = (signed_in(&server, KIM, "Desk"), signed_in(&server, KIM, "Phone"));
    let fields = [("current_password", PASSWORD), ("password", "tide pool limpet 77"), ("end_others", "yes")];
    assert_eq!(form(&mut desk, "/account", &fields).status, 303);
    assert_told(&mut phone, "The password was changed (<time ");
}

async fn the_administrator_is_named_as_the_reason(db: TestDb) {
    let server = serve(&db);
    add_user(&db, "sam@example.com", "member");
    let mut phone = signed_in(&server, KIM, "Phone");
    assert!(sessile(&db, &["session", "revoke", "--email", KIM], "").status.success());
    assert_told(&mut phone, "You were signed out by the administrator (<time ");
    let mut phone = signed_in(&server, KIM, "Phone");
    let args = ["user", "set-password", KIM, "--password-stdin"];
    assert!(sessile(&db, &args, "tide pool limpet 77").status.success());
    assert_told(&mut phone, "The password was changed by the administrator (<time ");
    let mut sam = signed_in(&server, "sam@example.com", "Phone");
    assert!(sessile(&db, &["user", "disable", "sam@example.com"], "").status.success());
    assert_told(&mut sam, "This account was disabled by the administrator (<time ");
}

async fn the_session_limit_is_named_as_the_reason(db: TestDb) {
    add_user(&db, KIM, "owner");
    let server = App::start(&db, &[("SESSILE_SESSIONS_PER_ACCOUNT", "1")]);
    let mut phone = signed_in(&server, KIM, "Phone");
    signed_in(&server, KIM, "Desk");
    assert_told(&mut phone, "because the account is signed in on too many devices");
}
