//! Every page of an account's other devices asks about a sign-in from a new device, until one of them answers.

use serde_json::{Value, json};

use super::{KIM, count, device_id, devices_form, form, is_signed_in, leads_to, serve, signed_in};
use crate::support::{Client, Engine, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    other_devices_ask_about_a_new_device_until_one_answers,
    a_device_cannot_answer_for_itself,
    new_devices_wait_for_a_known_device_to_answer,
    new_devices_never_answer_for_one_another,
    forgetting_a_new_device_keeps_the_question_open,
    a_new_device_cannot_make_a_known_device_unknown,
    a_forgotten_device_cannot_be_acknowledged,
    the_last_known_device_stays_known_after_forgetting_itself,
    a_new_devices_own_name_is_shown_after_its_browser,
    a_new_password_that_ends_all_others_acknowledges_the_device,
    the_newest_of_many_new_devices_are_shown,
    a_signed_in_device_is_listed_after_many_later_sign_ins,
    answering_wasnt_me_ends_the_new_device,
    a_device_that_comes_again_is_not_new,
}

const PAGES: [&str; 4] = ["/dashboard", "/devices", "/activity", "/account"];

fn asks(client: &mut Client, about: &str) -> Vec<&'static str> {
    let words = format!("New sign-in: ureq \u{201c}{about}\u{201d},");
    PAGES.into_iter().filter(|page| client.get(page).body.contains(&words)).collect()
}

fn delete(client: &mut Client, path: &str) -> u16 {
    client.json("DELETE", path, &Value::Null).status
}

fn revoke_others(client: &mut Client) -> u16 {
    client.json("POST", "/api/sessions/revoke-others", &Value::Null).status
}

async fn other_devices_ask_about_a_new_device_until_one_answers(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    assert_eq!(asks(&mut desk, "Desk"), [""; 0], "the first device needs no question");
    let mut phone = signed_in(&server, KIM, "Phone");
    assert_eq!(asks(&mut desk, "Phone"), PAGES);
    assert_eq!(asks(&mut phone, "Phone"), [""; 0], "a device is not asked about itself");
    let id = device_id(&mut phone);
    leads_to(&devices_form(&mut desk, &[("known", &id), ("next", "/activity")]), "/activity");
    assert_eq!(asks(&mut desk, "Phone"), [""; 0]);
    leads_to(&devices_form(&mut desk, &[("known", &id)]), "/devices?done=known");
    // From now on the phone may answer too.
    signed_in(&server, KIM, "Tablet");
    assert_eq!(asks(&mut phone, "Tablet"), PAGES);
    assert_eq!(asks(&mut desk, "Tablet"), PAGES);
}

async fn a_device_cannot_answer_for_itself(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut thief = signed_in(&server, KIM, "Elsewhere");
    let id = device_id(&mut thief);
    assert_eq!(devices_form(&mut thief, &[("known", &id)]).status, 404);
    assert_eq!(asks(&mut desk, "Elsewhere"), PAGES);
    let page = thief.get("/devices").body;
    assert!(!page.contains("It was me"), "{page}");
}

async fn new_devices_wait_for_a_known_device_to_answer(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut thief = signed_in(&server, KIM, "Elsewhere");
    let mut accomplice = signed_in(&server, KIM, "Elsewhere too");
    let id = device_id(&mut thief);
    assert_eq!(asks(&mut accomplice, "Elsewhere"), [""; 0]);
    assert_eq!(devices_form(&mut accomplice, &[("known", &id)]).status, 404);
    let page = desk.get("/dashboard").body;
    assert!(
        page.contains("New sign-in: ureq \u{201c}Elsewhere too\u{201d},") && page.contains("There is one more"),
        "the newest first"
    );
}

async fn new_devices_never_answer_for_one_another(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut thief = signed_in(&server, KIM, "Elsewhere");
    assert_eq!(revoke_others(&mut thief), 200);
    let mut accomplice = signed_in(&server, KIM, "Elsewhere too");
    let id = device_id(&mut thief);
    assert_eq!(asks(&mut accomplice, "Elsewhere"), [""; 0]);
    assert_eq!(devices_form(&mut accomplice, &[("known", &id)]).status, 404);
    assert!(!is_signed_in(&mut desk));
    desk.log_in(KIM);
    assert_eq!(asks(&mut desk, "Elsewhere too"), PAGES);
    assert!(desk.get("/dashboard").body.contains("There is one more"));
}

async fn forgetting_a_new_device_keeps_the_question_open(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut thief = signed_in(&server, KIM, "Elsewhere");
    let path = format!("/api/devices/{}", device_id(&mut thief));
    assert_eq!(delete(&mut thief, &path), 204);
    assert!(!is_signed_in(&mut thief));
    assert_eq!(asks(&mut desk, "Elsewhere"), PAGES);
    assert_eq!(
        desk.get("/api/devices").json()["devices"].as_array().map(Vec::len),
        Some(1),
        "the device is no longer listed"
    );
    // The same browser is now another new device, and removes the other new device.
    thief.log_in(KIM);
    let mut accomplice = signed_in(&server, KIM, "Elsewhere too");
    let path = format!("/api/devices/{}", device_id(&mut accomplice));
    assert_eq!((delete(&mut thief, &path), delete(&mut thief, &path)), (204, 404));
    assert!(!is_signed_in(&mut accomplice));
    assert_eq!(asks(&mut desk, "Elsewhere too"), PAGES);
    // A device that may answer does so, and the question is gone.
    let unanswered = || count(&db, "devices WHERE acknowledged_at IS NULL");
    assert_eq!(unanswered(), 3);
    let kept = db.sql("SELECT id FROM devices WHERE forgotten_at IS NOT NULL");
    let kept: Vec<&str> = kept.lines().collect();
    leads_to(&devices_form(&mut desk, &[("known", kept[0])]), "/devices?done=known");
    let not_me = format!("not-me:{}", kept[1]);
    leads_to(&devices_form(&mut desk, &[("ending", &not_me), ("sure", "yes")]), "/account?why=not-me");
    assert_eq!((unanswered(), count(&db, "devices")), (1, 2));
}

async fn a_new_device_cannot_make_a_known_device_unknown(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let id = device_id(&mut desk);
    let mut thief = signed_in(&server, KIM, "Elsewhere");
    let mut accomplice = signed_in(&server, KIM, "Elsewhere too");
    assert_eq!(delete(&mut thief, &format!("/api/devices/{id}")), 204);
    assert!(!is_signed_in(&mut desk));
    assert_eq!(thief.get("/api/devices").json()["devices"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        count(&db, "devices WHERE name = 'Desk' AND proved_at IS NOT NULL"),
        0,
        "the device has no count of its own"
    );
    let accomplices = device_id(&mut accomplice);
    assert_eq!(devices_form(&mut thief, &[("known", &accomplices)]).status, 404);
    desk.log_in(KIM);
    assert_eq!(device_id(&mut desk), id);
    assert_eq!(asks(&mut desk, "Elsewhere too"), PAGES);
}

async fn a_forgotten_device_cannot_be_acknowledged(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut thief = signed_in(&server, KIM, "Elsewhere");
    let mut accomplice = signed_in(&server, KIM, "Elsewhere too");
    let path = format!("/api/devices/{}", device_id(&mut desk));
    assert_eq!(delete(&mut desk, &path), 204);
    let id = device_id(&mut accomplice);
    assert_eq!(devices_form(&mut thief, &[("known", &id)]).status, 404);
    desk.log_in(KIM);
    assert_eq!(asks(&mut desk, "Elsewhere too"), PAGES);
}

async fn the_last_known_device_stays_known_after_forgetting_itself(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    let (own, other) = (device_id(&mut desk), device_id(&mut phone));
    leads_to(&devices_form(&mut desk, &[("known", &other)]), "/devices?done=known");
    assert_eq!(delete(&mut phone, &format!("/api/devices/{other}")), 204);
    assert_eq!(count(&db, "devices"), 1, "another acknowledged device remains");
    assert_eq!(delete(&mut desk, &format!("/api/devices/{own}")), 204);
    // The next device to sign in is not acknowledged automatically.
    let mut thief = signed_in(&server, KIM, "Elsewhere");
    let thiefs = device_id(&mut thief);
    assert_eq!(count(&db, "devices WHERE acknowledged_at IS NULL"), 1);
    assert_eq!(
        thief.get("/api/devices").json()["devices"].as_array().map(Vec::len),
        Some(1),
        "the device is no longer listed"
    );
    let accomplice = device_id(&mut signed_in(&server, KIM, "Elsewhere too"));
    assert_eq!(devices_form(&mut thief, &[("known", &accomplice)]).status, 404);
    desk.log_in(KIM);
    assert_eq!(device_id(&mut desk), own);
    assert_eq!(asks(&mut desk, "Elsewhere too"), PAGES);
    leads_to(
        &devices_form(&mut desk, &[("ending", &format!("not-me:{thiefs}")), ("sure", "yes")]),
        "/account?why=not-me",
    );
}

async fn a_new_devices_own_name_is_shown_after_its_browser(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0";
    let name = "your phone, checked by Sessile. Nothing to do";
    let sent = json!({"email": KIM, "password": crate::support::PASSWORD, "device": {"name": name}}).to_string();
    // A client hint can contain any browser name.
    let brands = "\"Nothing to do here\";v=\"1\"";
    let headers = [("Content-Type", "application/json"), ("User-Agent", agent), ("Sec-CH-UA", brands)];
    let mut thief = server.client();
    assert_eq!(thief.send("POST", "/api/establish-session", &headers, sent.as_bytes()).status, 200);
    for page in PAGES {
        let page = desk.get(page).body;
        let words = format!("New sign-in: Firefox on Linux \u{201c}{name}\u{201d}, ");
        assert!(page.contains(&words), "{page}");
        assert!(page.contains("From 127.0.0.1."), "{page}");
    }
    // A name that equals the browser's label is shown only once.
    let plain = json!({"email": KIM, "password": crate::support::PASSWORD}).to_string();
    server.client().send("POST", "/api/establish-session", &headers, plain.as_bytes());
    assert!(desk.get("/dashboard").body.contains("New sign-in: Firefox on Linux, "));
}

/// So a person who lost the acknowledged device is not stuck.
async fn a_new_password_that_ends_all_others_acknowledges_the_device(db: TestDb) {
    let server = serve(&db);
    signed_in(&server, KIM, "Lost");
    let mut phone = signed_in(&server, KIM, "Phone");
    let mut tablet = signed_in(&server, KIM, "Tablet");
    assert_eq!(asks(&mut phone, "Tablet"), [""; 0]);
    let (now, new) = (crate::support::PASSWORD, "another long one 42");
    let fields = [("current_password", now), ("password", new), ("end_others", "0")];
    leads_to(&form(&mut phone, "/account", &fields), "/account?done=password");
    assert_eq!(asks(&mut phone, "Tablet"), [""; 0], "the other devices are signed out");
    let fields = [("current_password", new), ("password", "one more long one 43"), ("end_others", "1")];
    leads_to(&form(&mut phone, "/account", &fields), "/account?done=password-everywhere");
    assert_eq!(asks(&mut phone, "Tablet"), PAGES);
    assert!(!is_signed_in(&mut tablet));
    assert_eq!(count(&db, "devices WHERE acknowledged_at IS NULL"), 1);
}

async fn the_newest_of_many_new_devices_are_shown(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    many_new_ones(&db);
    assert_eq!(asks(&mut desk, "D300"), PAGES);
    assert!(desk.get("/dashboard").body.contains("There are 49 more"));
}

/// Adds 300 devices that were first seen after all others.
fn many_new_ones(db: &TestDb) {
    let bytes = if db.engine == Engine::Postgres { "BYTEA" } else { "BLOB" };
    let no = if db.engine == Engine::Postgres { "false" } else { "0" };
    db.sql(&format!(
        "INSERT INTO devices (id, account_id, secret_hash, name, browser, os, kind, installed, first_seen, last_seen) \
         SELECT 'dev_' || i, a.id, CAST('hash' || i AS {bytes}), 'D' || i, 'ureq', 'Unknown', 'other', {no}, INSTANT(0), INSTANT(0) \
         FROM {}, accounts a",
        db.engine.numbers(300)
    ));
    // All were last seen before the device in use. Make dev_300 the newest device.
    db.sql("UPDATE devices SET first_seen = INSTANT(5) WHERE id = 'dev_300'");
}

async fn a_signed_in_device_is_listed_after_many_later_sign_ins(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let own = device_id(&mut desk);
    db.sql(&format!("UPDATE devices SET last_seen = INSTANT(-9000) WHERE id = '{own}'"));
    many_new_ones(&db);
    let renamed = desk.json("PATCH", &format!("/api/devices/{own}"), &json!({"name": "Mine"}));
    assert_eq!((renamed.status, &renamed.json()["name"]), (200, &json!("Mine")), "{renamed:?}");
    let listed = desk.get("/api/devices").json()["devices"].as_array().expect("a list").clone();
    assert_eq!(listed.len(), 201);
    assert!(listed.iter().any(|one| one["current"] == true));
    assert!(desk.get("/devices").body.contains("Mine"));
    db.sql("UPDATE devices SET last_seen = INSTANT(-9000) WHERE id = 'dev_1'");
    let old = desk.json("PATCH", "/api/devices/dev_1", &json!({"name": "Old"}));
    assert_eq!((old.status, &old.json()["name"]), (200, &json!("Old")), "{old:?}");
}

async fn answering_wasnt_me_ends_the_new_device(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut thief = signed_in(&server, KIM, "Elsewhere");
    let ending = format!("not-me:{}", device_id(&mut thief));
    assert!(desk.get("/dashboard").body.contains(&ending));
    leads_to(&devices_form(&mut desk, &[("ending", &ending), ("sure", "yes")]), "/account?why=not-me");
    assert!(!is_signed_in(&mut thief));
    assert_eq!(asks(&mut desk, "Elsewhere"), [""; 0]);
}

async fn a_device_that_comes_again_is_not_new(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    let id = device_id(&mut phone);
    leads_to(&devices_form(&mut desk, &[("known", &id)]), "/devices?done=known");
    phone.json("DELETE", "/api/session", &serde_json::Value::Null);
    phone.log_in(KIM);
    assert_eq!(asks(&mut desk, "Phone"), [""; 0]);
}
