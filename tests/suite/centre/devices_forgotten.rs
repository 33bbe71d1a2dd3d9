//! Unused devices are deleted, and the list of devices stays bounded however many sign-ins there are.

use serde_json::{Value, json};

use super::{ALEX, KIM, count, device_id, serve, session_id, signed_in, text};
use crate::support::{Engine, PASSWORD, TestDb, add_user, on_both_engines_and_citus, sessile};

on_both_engines_and_citus! {
    devices_unused_for_400_days_are_deleted,
    the_newest_unacknowledged_devices_are_kept,
    a_device_is_shown_as_it_was_used_last,
    an_installed_app_is_named_once_it_reports_itself,
    a_replaced_session_does_not_show_who_replaced_it,
}

/// Adds devices of Kim with ids from `dev_1` on. The first was created and last seen `seconds_ago`, each later one a
/// second earlier.
fn seed(db: &TestDb, many: usize, seconds_ago: usize) {
    let bytes = if db.engine == Engine::Postgres { "BYTEA" } else { "BLOB" };
    let no = if db.engine == Engine::Postgres { "false" } else { "0" };
    let second = if db.engine == Engine::Postgres { "interval '1 second'" } else { "1000000" };
    let at = format!("INSTANT(0) - {second} * ({seconds_ago} + i)");
    db.sql(&format!(
        "INSERT INTO devices (id, account_id, secret_hash, name, browser, os, kind, installed, first_seen, last_seen) \
         SELECT 'dev_' || i, a.id, CAST('hash' || i AS {bytes}), 'D' || i, 'B', 'O', 'other', {no}, {at}, {at} \
         FROM {}, accounts a WHERE a.email = '{KIM}'",
        db.engine.numbers(many)
    ));
}

const DAYS_401: usize = 401 * 86_400;

async fn devices_unused_for_400_days_are_deleted(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let known = device_id(&mut phone);
    seed(&db, 420, DAYS_401);
    // Two devices are acknowledged; the later one was last used long ago. One device is still signed in.
    db.sql("UPDATE devices SET acknowledged_at = first_seen WHERE id IN ('dev_1', 'dev_2')");
    db.sql(&format!("UPDATE devices SET acknowledged_at = NULL WHERE id = '{known}'"));
    db.sql(&format!("UPDATE sessions SET device_id = 'dev_300' WHERE id = '{}'", session_id(&mut phone)));
    db.sql(&format!("UPDATE devices SET last_seen = INSTANT(-{}) WHERE id = 'dev_9'", 399 * 86_400));
    let pruned = sessile(&db, &["prune"], "");
    assert!(pruned.status.success(), "{pruned:?}");
    let mut left: Vec<String> = db.sql("SELECT id FROM devices").lines().map(str::to_owned).collect();
    left.sort_unstable();
    let mut kept = vec!["dev_1".to_owned(), "dev_300".to_owned(), "dev_9".to_owned(), known];
    kept.sort_unstable();
    assert_eq!(left, kept, "the last acknowledged, the signed-in and the recent devices");
    // The old acknowledged device is deleted once there is a later one.
    db.sql("UPDATE devices SET acknowledged_at = first_seen WHERE id = 'dev_9'");
    assert!(sessile(&db, &["prune"], "").status.success());
    assert_eq!(count(&db, "devices WHERE id = 'dev_1'"), 0);
}

async fn the_newest_unacknowledged_devices_are_kept(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    seed(&db, 600, 60);
    let oldest = session_id(&mut phone);
    db.sql(&format!("UPDATE sessions SET device_id = 'dev_600' WHERE id = '{oldest}'"));
    for name in ["One", "Two", "Three", "Four"] {
        signed_in(&server, KIM, name);
    }
    assert_eq!(count(&db, "devices WHERE acknowledged_at IS NULL"), 201, "200 devices and a signed-in device");
    assert_eq!(count(&db, "devices WHERE id IN ('dev_1', 'dev_100', 'dev_600')"), 3);
    assert!(desk.get("/dashboard").body.contains("\u{201c}Four\u{201d}"), "the page asks about the newest device");
    assert_eq!(count(&db, "audit WHERE kind = 'device.new'"), 6, "every event is kept");
}

async fn a_device_is_shown_as_it_was_used_last(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    let device = device_id(&mut phone);
    db.sql(&format!("UPDATE devices SET last_seen = INSTANT(-9000) WHERE id = '{device}'"));
    let use_it = |ip: &str, seconds: i64| {
        db.sql(&format!(
            "UPDATE sessions SET ip = '{ip}', last_activity = INSTANT(-{seconds}) WHERE device_id = '{device}' AND ended_at IS NULL"
        ));
    };
    use_it("192.0.2.7", 7000);
    assert!(desk.get("/devices").body.contains("192.0.2.7"));
    assert_eq!(phone.json("DELETE", "/api/session", &Value::Null).status, 204);
    assert!(desk.get("/devices").body.contains("192.0.2.7"), "the address of an ended session");
    let seen = |client: &mut crate::support::Client| {
        let devices = client.get("/api/devices").json()["devices"].clone();
        let one = devices.as_array().unwrap().iter().find(|one| one["id"] == device.as_str()).cloned();
        text(&one.expect("the phone")["lastSeen"])
    };
    let before = seen(&mut desk);
    phone.log_in(KIM);
    db.sql(&format!("UPDATE devices SET last_seen = INSTANT(-9000) WHERE id = '{device}'"));
    use_it("192.0.2.8", 5000);
    assert!(seen(&mut desk) > before);
    let page = desk.get("/devices").body;
    assert!(page.contains("192.0.2.8") && !page.contains("192.0.2.7"), "{page}");
    // A session that has expired but was not swept yet still counts as a use.
    db.sql(&format!("UPDATE sessions SET expires_at = INSTANT(-1) WHERE device_id = '{device}' AND ended_at IS NULL"));
    assert!(desk.get("/devices").body.contains("192.0.2.8"));
    db.sql("UPDATE sessions SET ip = '192.0.2.9' WHERE ended_at IS NOT NULL");
    assert!(!desk.get("/devices").body.contains("192.0.2.9"), "an earlier use");
}

async fn an_installed_app_is_named_once_it_reports_itself(db: TestDb) {
    let server = serve(&db);
    let agent =
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148";
    let mut app = server.client();
    let csrf = app.form_token("/login");
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("csrf", csrf.as_str()), ("email", KIM), ("password", PASSWORD)])
        .finish();
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("User-Agent", agent)];
    assert_eq!(app.send("POST", "/login", &headers, body.as_bytes()).status, 303);
    let name = |client: &mut crate::support::Client| text(&client.get("/api/session").json()["session"]["deviceName"]);
    assert_eq!(name(&mut app), "Safari on iPhone");
    let sync = |client: &mut crate::support::Client, installed: bool| {
        let answer =
            client.json("POST", "/api/session/sync", &json!({"device": {"installed": installed}, "operations": []}));
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    sync(&mut app, true);
    assert_eq!(name(&mut app), "App on iPhone");
    assert_eq!(count(&db, "audit WHERE kind = 'device.renamed' AND detail = 'was Safari on iPhone'"), 1);
    sync(&mut app, true);
    assert_eq!(count(&db, "audit WHERE kind = 'device.renamed'"), 1);
    // A name that a person chose is kept.
    let path = format!("/api/devices/{}", device_id(&mut app));
    assert_eq!(app.json("PATCH", &path, &json!({"name": "My phone"})).status, 200);
    sync(&mut app, false);
    assert_eq!(name(&mut app), "My phone");
}

async fn a_replaced_session_does_not_show_who_replaced_it(db: TestDb) {
    let server = serve(&db);
    add_user(&db, ALEX, "member");
    let mut shared = signed_in(&server, KIM, "Shared");
    shared.log_in(ALEX);
    let alex = text(&shared.get("/api/session").json()["user"]["id"]);
    let mut kim = signed_in(&server, KIM, "Desk");
    let told = kim.get("/api/activity?limit=200");
    let events = told.json()["events"].as_array().unwrap().clone();
    let replaced = events.iter().find(|event| event["kind"] == "session.replaced").expect("an event");
    assert_eq!(replaced["actor"], "another account");
    assert!(!told.body.contains(&alex), "{}", told.body);
    let own = text(&kim.get("/api/session").json()["user"]["id"]);
    assert!(events.iter().any(|event| event["actor"] == own.as_str()), "the account's own id is shown");
}
