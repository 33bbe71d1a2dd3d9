//! The API of sessions and devices, compared exactly with the contract.

use serde_json::{Value, json};

use super::{
    KIM, count, device_id, is_signed_in, let_confirmations_lapse, own_session, serve, session_id, signed_in, text,
};
use crate::support::{Client, PASSWORD, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    sessions_are_listed_newest_activity_first,
    ending_one_session_leaves_the_others_alive,
    all_others_are_ended_and_counted,
    ending_needs_a_password_of_the_last_ten_minutes,
    devices_are_listed_with_data_of_their_sessions,
    a_device_is_renamed,
    a_forgotten_device_takes_its_sessions_with_it,
    ending_the_current_session_removes_its_cookie,
    queued_activity_is_shown,
    a_text_with_nul_is_an_unknown_id,
}

fn sessions(client: &mut Client) -> Vec<Value> {
    client.get("/api/sessions").json()["sessions"].as_array().expect("a list").clone()
}

fn devices(client: &mut Client) -> Vec<Value> {
    client.get("/api/devices").json()["devices"].as_array().expect("a list").clone()
}

fn names(list: &[Value], name: &str) -> Vec<String> {
    list.iter().map(|one| text(&one[name])).collect()
}

fn delete(client: &mut Client, path: &str) -> crate::support::Answer {
    client.json("DELETE", path, &Value::Null)
}

async fn sessions_are_listed_newest_activity_first(db: TestDb) {
    let server = serve(&db);
    let (mut desk, mut phone) = (signed_in(&server, KIM, "Desk"), signed_in(&server, KIM, "Phone"));
    let mut tablet = signed_in(&server, KIM, "Tablet");
    for (client, age) in [(&mut desk, 30), (&mut phone, 20), (&mut tablet, 10)] {
        let id = session_id(client);
        db.sql(&format!("UPDATE sessions SET last_activity = INSTANT(-{age}) WHERE id = '{id}'"));
    }
    let all = sessions(&mut desk);
    assert_eq!(names(&all, "deviceName"), ["Tablet", "Phone", "Desk"]);
    assert_eq!(all.iter().filter(|one| one["current"] == true).count(), 1);
    assert_eq!(all[2], own_session(&mut desk), "the same format as the current session");
}

async fn ending_one_session_leaves_the_others_alive(db: TestDb) {
    let server = serve(&db);
    let (mut desk, mut phone) = (signed_in(&server, KIM, "Desk"), signed_in(&server, KIM, "Phone"));
    let mut tablet = signed_in(&server, KIM, "Tablet");
    let path = format!("/api/sessions/{}", session_id(&mut phone));
    assert_eq!(delete(&mut desk, &path).status, 204);
    assert_eq!(phone.get("/api/session").json()["reason"], "revoked");
    assert!(is_signed_in(&mut desk) && is_signed_in(&mut tablet));
    assert_eq!(delete(&mut desk, &path).problem(), "not-found", "the session has already ended");
    assert_eq!(count(&db, "audit WHERE kind = 'session.revoked' AND actor LIKE 'acc_%' AND ip IS NOT NULL"), 1);
    assert_eq!(delete(&mut desk, "/api/sessions/aiq_1_nothing").problem(), "not-found");
}

async fn all_others_are_ended_and_counted(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut others = [signed_in(&server, KIM, "Phone"), signed_in(&server, KIM, "Tablet")];
    let answer = desk.json("POST", "/api/sessions/revoke-others", &json!({}));
    assert_eq!((answer.status, answer.json()), (200, json!({"revoked": 2})));
    assert!(others.iter_mut().all(|other| !is_signed_in(other)) && is_signed_in(&mut desk));
    assert_eq!(desk.json("POST", "/api/sessions/revoke-others", &json!({})).json(), json!({"revoked": 0}));
}

async fn ending_needs_a_password_of_the_last_ten_minutes(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut tablet = signed_in(&server, KIM, "Tablet");
    let others = |client: &mut Client| client.json("POST", "/api/sessions/revoke-others", &json!({}));
    db.sql("UPDATE accounts SET password_changed_at = INSTANT(-9000)");
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(-570)");
    assert_eq!(others(&mut desk).json(), json!({"revoked": 1}), "confirmed nine and a half minutes ago");
    assert!(!is_signed_in(&mut tablet));
    let mut phone = signed_in(&server, KIM, "Phone");
    let (session, device) = (session_id(&mut phone), device_id(&mut phone));
    let_confirmations_lapse(&db);
    for answer in [
        others(&mut desk),
        delete(&mut desk, &format!("/api/sessions/{session}")),
        delete(&mut desk, &format!("/api/devices/{device}")),
    ] {
        assert_eq!((answer.status, answer.problem().as_str()), (403, "confirmation-required"), "{answer:?}");
    }
    assert!(is_signed_in(&mut phone));
    let renamed = desk.json("PATCH", &format!("/api/devices/{device}"), &json!({"name": "Old phone"}));
    assert_eq!(renamed.status, 200, "renaming needs no confirmation: {renamed:?}");
    desk.log_in(KIM);
    assert_eq!(delete(&mut desk, &format!("/api/sessions/{session}")).status, 204);
    assert!(!is_signed_in(&mut phone));
}

async fn devices_are_listed_with_data_of_their_sessions(db: TestDb) {
    let server = serve(&db);
    let (mut desk, mut phone) = (signed_in(&server, KIM, "Desk"), signed_in(&server, KIM, "Phone"));
    let id = device_id(&mut phone);
    db.sql("UPDATE devices SET first_seen = INSTANT(-9000), last_seen = INSTANT(-5000)");
    db.sql(&format!("UPDATE sessions SET last_activity = INSTANT(-3000) WHERE device_id = '{id}'"));
    let all = devices(&mut desk);
    assert_eq!(names(&all, "name"), ["Desk", "Phone"]);
    let seen = |device: &Value, name: &str| text(&device[name]);
    let activity = text(&own_session(&mut phone)["lastActivity"]);
    assert!(seen(&all[1], "lastSeen") <= activity && seen(&all[1], "lastSeen") > seen(&all[1], "firstSeen"));
    assert_eq!((&all[0]["current"], &all[1]["current"]), (&json!(true), &json!(false)));
    assert_eq!((&all[0]["sessions"], &all[1]["sessions"]), (&json!(1), &json!(1)));
    assert_eq!(all[0]["client"], json!({"browser": "ureq", "os": "Unknown", "kind": "other", "installed": false}));
    let mut shape: Vec<&str> = all[0].as_object().expect("an object").keys().map(String::as_str).collect();
    shape.sort_unstable();
    assert_eq!(shape, ["client", "current", "firstSeen", "id", "lastSeen", "name", "sessions"]);
    // After it signed out, the device is still listed, last seen when it was last used.
    delete(&mut phone, "/api/session");
    let before = seen(&all[1], "lastSeen");
    let all = devices(&mut desk);
    assert_eq!((&all[1]["name"], &all[1]["sessions"]), (&json!("Phone"), &json!(0)));
    assert!(seen(&all[1], "lastSeen") >= before, "{all:?}");
}

async fn a_device_is_renamed(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let path = format!("/api/devices/{}", device_id(&mut desk));
    let answer = desk.json("PATCH", &path, &json!({"name": "  Shop counter "}));
    assert_eq!((answer.status, &answer.json()["name"]), (200, &json!("Shop counter")), "{answer:?}");
    assert_eq!(answer.json(), devices(&mut desk)[0]);
    assert_eq!(own_session(&mut desk)["deviceName"], "Shop counter");
    assert_eq!(db.sql("SELECT detail FROM audit WHERE kind = 'device.renamed'"), "was Desk");
    desk.json("PATCH", &path, &json!({"name": "Shop counter"}));
    assert_eq!(count(&db, "audit WHERE kind = 'device.renamed'"), 1, "an unchanged name records no event");
    for odd in
        [json!({"name": ""}), json!({"name": "x".repeat(61)}), json!({"name": "a\u{202E}b"}), json!({}), json!([])]
    {
        assert_eq!(desk.json("PATCH", &path, &odd).problem(), "invalid-request", "{odd}");
    }
}

async fn a_forgotten_device_takes_its_sessions_with_it(db: TestDb) {
    let server = serve(&db);
    let (mut desk, mut phone) = (signed_in(&server, KIM, "Desk"), signed_in(&server, KIM, "Phone"));
    let id = device_id(&mut phone);
    assert_eq!(delete(&mut desk, &format!("/api/devices/{id}")).status, 204);
    assert_eq!(phone.get("/api/session").json()["reason"], "revoked");
    assert_eq!(names(&devices(&mut desk), "name"), ["Desk"]);
    assert_eq!(delete(&mut desk, &format!("/api/devices/{id}")).problem(), "not-found");
    let event = "audit WHERE kind = 'device.forgotten' AND device_name = 'Phone'";
    assert_eq!(count(&db, &format!("{event} AND device_id = '{id}'")), 1);
    assert_eq!(count(&db, "audit WHERE kind = 'session.revoked' AND device_name = 'Phone'"), 1);
    phone.log_in(KIM);
    assert_ne!(device_id(&mut phone), id, "the same browser is a new device");
    assert_eq!(count(&db, "audit WHERE kind = 'device.new'"), 3);
}

async fn ending_the_current_session_removes_its_cookie(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let id = session_id(&mut desk);
    assert_eq!(delete(&mut desk, &format!("/api/sessions/{id}")).status, 204);
    assert!(!desk.cookies.contains_key("aiq_session"));
    desk.log_in(KIM);
    let device = device_id(&mut desk);
    assert_eq!(delete(&mut desk, &format!("/api/devices/{device}")).status, 204);
    assert!(!desk.cookies.contains_key("aiq_session"));
    assert_eq!(count(&db, "sessions WHERE ended_at IS NULL"), 0);
    assert_eq!(
        count(&db, "sessions WHERE ended_reason = 'revoked'"),
        2,
        "each end is recorded once with its own reason"
    );
    assert_eq!(server.client().try_log_in(KIM, PASSWORD).status, 200);
}

async fn queued_activity_is_shown(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    db.sql("UPDATE sessions SET last_activity = INSTANT(-3000)");
    let touched = text(&own_session(&mut desk)["lastActivity"]);
    assert_eq!(text(&sessions(&mut desk)[0]["lastActivity"]), touched);
    assert_eq!(text(&devices(&mut desk)[0]["lastSeen"]), touched);
}

/// PostgreSQL rejects U+0000 in a text.
async fn a_text_with_nul_is_an_unknown_id(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let long = "a".repeat(200);
    for odd in ["%00", "dev_%00", "a%20b", "%C3%A9", &long] {
        let path = format!("/api/devices/{odd}");
        assert_eq!(desk.json("PATCH", &path, &json!({"name": "N"})).problem(), "not-found", "{odd}");
        assert_eq!(delete(&mut desk, &path).problem(), "not-found", "{odd}");
    }
    assert_eq!(delete(&mut desk, "/api/sessions/aiq_%00").problem(), "not-found");
    assert_eq!(desk.get("/confirm?then=session:aiq_%00").status, 404);
    let confirm = [("password", PASSWORD), ("then", "session:aiq_\0")];
    assert_eq!(super::form(&mut desk, "/confirm", &confirm).status, 404);
    let device = |name| [("device", "dev_\0"), ("name", name)];
    for fields in [&[("ending", "device:dev_\0")][..], &[("known", "dev_\0")], &device("N"), &device("")] {
        assert_eq!(super::devices_form(&mut desk, fields).status, 404, "{fields:?}");
    }
    for fields in [
        &[("delete", "a\0")][..],
        &[("both", "a\0")],
        &[("keep", "this"), ("draft", "a\0"), ("other", "b")],
        &[("keep", "other"), ("draft", "a"), ("other", "b\0")],
    ] {
        assert_eq!(super::form(&mut desk, "/drafts", fields).status, 404, "{fields:?}");
    }
    assert_eq!(desk.get("/drafts?draft=a%00").status, 200, "the page says that there is no such draft");
}
