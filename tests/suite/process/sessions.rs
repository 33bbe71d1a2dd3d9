//! `sessile session …` and `sessile prune` next to a running server.

use serde_json::Value;

use super::{KIM, ask, assert_ended, count};
use crate::support::{Client, Server, TestDb, add_user, on_both_engines};

const SAM: &str = "sam@example.com";

on_both_engines! {
    sessions_are_listed_in_the_shape_of_the_api,
    one_session_is_revoked_at_once,
    all_sessions_of_an_account_are_revoked_at_once,
    all_sessions_are_revoked_at_once,
    an_unknown_session_is_refused,
    prune_ends_what_has_expired_and_deletes_what_ended_long_ago,
}

fn serve(db: &TestDb) -> (Server, Client, Client, Client) {
    add_user(db, KIM, "owner");
    add_user(db, SAM, "member");
    let server = Server::start(db, &[]);
    let mut clients = [(); 3].map(|()| server.client());
    clients[0].log_in(KIM);
    clients[1].log_in(KIM);
    clients[2].log_in(SAM);
    let [kim, phone, sam] = clients;
    (server, kim, phone, sam)
}

async fn sessions_are_listed_in_the_shape_of_the_api(db: TestDb) {
    let (_server, mut kim, mut phone, mut sam) = serve(&db);
    let listed: Value = serde_json::from_str(&ask(&db, &["session", "list", "--json"], "").said()).unwrap();
    let own: Vec<Value> = [&mut sam, &mut phone, &mut kim].map(|client| client.get("/api/session").json()).into();
    for (shown, own) in listed.as_array().expect("an array").iter().zip(&own) {
        let (mut shown, mut session) = (shown.clone(), own["session"].clone());
        assert_eq!(shown.as_object_mut().unwrap().remove("email"), Some(own["user"]["email"].clone()));
        // The command itself has no current session.
        assert_eq!((shown["current"].take(), session["current"].take()), (false.into(), true.into()));
        assert_eq!(shown, session, "newest first, in the format of the API");
    }
    assert_eq!(listed.as_array().unwrap().len(), 3);

    let of_kim = ask(&db, &["session", "list", "--email", "KIM@example.com", "--json"], "").said();
    let of_kim: Value = serde_json::from_str(&of_kim).unwrap();
    assert_eq!(of_kim.as_array().unwrap().len(), 2, "{of_kim}");
    ask(&db, &["session", "list", "--email", "nobody@example.com"], "").refused(&["nobody@example.com"]);
    let lines = ask(&db, &["session", "list", "--email", SAM], "").said();
    assert!(lines.lines().count() == 1 && lines.contains(&id(&own[0])) && lines.contains(SAM), "{lines}");

    sam.send("DELETE", "/api/session", &[], b"");
    db.sql(&format!("UPDATE sessions SET expires_at = INSTANT(-1) WHERE id = '{}'", id(&own[1])));
    let lines = ask(&db, &["session", "list"], "").said();
    assert!(lines.lines().count() == 1 && lines.contains(&id(&own[2])), "only live sessions: {lines}");
}

async fn one_session_is_revoked_at_once(db: TestDb) {
    let (_server, mut kim, mut phone, mut sam) = serve(&db);
    let name = id(&kim.get("/api/session").json());
    assert!(ask(&db, &["session", "revoke", &name], "").said().contains('1'));
    assert_ended(&kim.get("/api/session"), "revoked");
    assert_eq!(phone.get("/api/session").status, 200);
    assert_eq!(sam.get("/api/session").status, 200);
    let row = format!("audit WHERE kind = 'session.revoked' AND actor = 'operator' AND session_id = '{name}'");
    assert_eq!(count(&db, &row), 1);
    ask(&db, &["session", "revoke", &name], "").refused(&[&name]);
    assert_eq!(count(&db, &row), 1, "a session ends only once");
}

async fn all_sessions_of_an_account_are_revoked_at_once(db: TestDb) {
    let (_server, mut kim, mut phone, mut sam) = serve(&db);
    assert!(ask(&db, &["session", "revoke", "--email", "KIM@EXAMPLE.COM"], "").said().contains('2'));
    assert_ended(&kim.get("/api/session"), "revoked");
    assert_ended(&phone.get("/api/session"), "revoked");
    assert_eq!(sam.get("/api/session").status, 200);
    kim.log_in(KIM);
    assert_eq!(kim.get("/api/session").status, 200, "the account can sign in again");
}

async fn all_sessions_are_revoked_at_once(db: TestDb) {
    let (_server, mut kim, mut phone, mut sam) = serve(&db);
    assert!(ask(&db, &["session", "revoke", "--all"], "").said().contains('3'));
    for client in [&mut kim, &mut phone, &mut sam] {
        assert_ended(&client.get("/api/session"), "revoked");
    }
    assert_eq!(count(&db, "audit WHERE kind = 'session.revoked'"), 3);
    assert!(ask(&db, &["session", "revoke", "--all"], "").said().contains('0'), "no session is left");
    assert_eq!(ask(&db, &["session", "list"], "").said(), "");
}

async fn an_unknown_session_is_refused(db: TestDb) {
    let (_server, mut kim, ..) = serve(&db);
    let unknown = format!("aiq_1795460400123_{}", "a".repeat(22));
    for odd in [unknown.as_str(), "nonsense", "", "' OR 1=1"] {
        ask(&db, &["session", "revoke", odd], "").refused(&[odd]);
    }
    ask(&db, &["session", "revoke", "--email", "nobody@example.com"], "").refused(&["nobody@example.com"]);
    ask(&db, &["session", "revoke", "--email", "nonsense"], "").refused(&["email"]);
    assert_eq!(kim.get("/api/session").status, 200);
}

async fn prune_ends_what_has_expired_and_deletes_what_ended_long_ago(db: TestDb) {
    let (server, mut kim, mut phone, mut sam) = serve(&db);
    let mut forgotten: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut forgotten {
        client.log_in(SAM);
        let name = id(&client.get("/api/session").json());
        assert_eq!(client.send("DELETE", "/api/session", &[], b"").status, 204);
        db.sql(&format!("UPDATE sessions SET ended_at = INSTANT(-2592060) WHERE id = '{name}'"));
    }
    let recent = id(&sam.get("/api/session").json());
    sam.send("DELETE", "/api/session", &[], b"");
    db.sql(&format!("UPDATE sessions SET ended_at = INSTANT(-2591900) WHERE id = '{recent}'"));
    let names = [&mut kim, &mut phone].map(|client| id(&client.get("/api/session").json()));
    let names = names.map(|name| format!("'{name}'")).join(", ");
    let mut alive = server.client();
    alive.log_in(SAM);
    db.sql(&format!("UPDATE sessions SET expires_at = INSTANT(-5) WHERE id IN ({names})"));

    let said = ask(&db, &["prune"], "").said();
    let counts: Vec<&str> = said.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    assert_eq!(counts, ["2", "3"], "the message has both counts: {said}");
    assert_ended(&kim.get("/api/session"), "expired");
    assert_ended(&phone.get("/api/session"), "expired");
    assert_eq!(alive.get("/api/session").status, 200);
    let expired = format!("audit WHERE kind = 'session.expired' AND actor = 'system' AND session_id IN ({names})");
    assert_eq!(count(&db, &expired), 2);
    assert_eq!(count(&db, &format!("sessions WHERE id = '{recent}'")), 1, "ended less than 30 days ago");
    assert_eq!(count(&db, "sessions"), 4);
    assert_eq!(count(&db, "audit WHERE kind = 'logout'"), 4, "audit events are kept");
    assert!(ask(&db, &["prune"], "").said().matches('0').count() == 2, "nothing is left to prune");
}

fn id(signed_in: &Value) -> String {
    signed_in["session"]["id"].as_str().expect("an id").to_owned()
}
