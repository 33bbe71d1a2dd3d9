//! The sync call as a whole: its format, its refusals and its changes.

use serde_json::{Value, json};

use super::{ALEX, KIM, changes_of, delete, own, put, result, results, revision, send, serve, signed_in, sync, texts};
use crate::{
    live::stream::Stream,
    support::{App, Engine, TestDb, add_user, on_both_engines_and_citus},
};

on_both_engines_and_citus! {
    an_empty_request_gets_a_complete_answer,
    changes_are_everything_after_the_known_revision,
    without_a_valid_revision_everything_is_sent_with_reset,
    another_accounts_queue_is_refused_as_a_whole,
    more_than_200_operations_or_256_kib_are_too_large,
    two_hundred_operations_in_one_call_are_fine,
    an_invalid_call_is_refused_as_a_whole,
    a_session_that_has_ended_applies_nothing,
    device_facts_are_recorded,
    a_rename_wins_over_the_reported_name,
    a_session_that_logs_itself_out_is_not_current,
    a_call_of_exactly_256_kib_is_taken,
    a_call_that_fails_halfway_leaves_nothing,
    an_unattended_sync_is_no_activity,
    open_pages_hear_of_it,
}

async fn an_empty_request_gets_a_complete_answer(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let answer = send(&mut phone, &json!({}));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let session = phone.get("/api/session").json();
    let told = answer.json();
    assert_eq!((&told["user"], &told["session"]["id"]), (&session["user"], &session["session"]["id"]));
    let changes = json!({"drafts": [], "reset": true});
    assert_eq!((changes_of(&told["revision"]), &told["results"], &told["changes"]), (0, &json!([]), &changes));
}

async fn changes_are_everything_after_the_known_revision(db: TestDb) {
    let server = serve(&db);
    let (mut phone, mut desk) = (signed_in(&server, KIM, "Phone"), signed_in(&server, KIM, "Desk"));
    let known = sync(&mut phone, &[put("one", "a", 0), put("two", "b", 0), put("three", "c", 0)])["revision"].clone();
    assert_eq!(changes_of(&known), 3);
    sync(&mut desk, &[put("one", "a!", 1), delete("two", 1)]);
    let news = send(&mut phone, &json!({"lastKnown": {"revision": known}, "operations": [put("four", "d", 0)]})).json();
    assert_eq!((changes_of(&news["revision"]), news["changes"].get("reset")), (6, None));
    let changed = news["changes"]["drafts"].as_array().unwrap();
    let shown: Vec<(&str, &str, Option<&Value>)> = changed
        .iter()
        .map(|draft| (draft["id"].as_str().unwrap(), draft["text"].as_str().unwrap(), draft.get("deleted")))
        .collect();
    assert_eq!(shown, [("one", "a!", None), ("two", "", Some(&json!(true))), ("four", "d", None)]);
    let nothing = send(&mut phone, &json!({"lastKnown": {"revision": news["revision"]}})).json();
    assert_eq!((changes_of(&nothing["revision"]), &nothing["changes"]), (6, &json!({"drafts": []})));
}

async fn without_a_valid_revision_everything_is_sent_with_reset(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    sync(&mut phone, &[put("one", "a", 0), put("two", "b", 0), delete("two", 1)]);
    for known in [
        json!(null),
        json!({}),
        json!({"revision": null}),
        json!({"revision": 99}),
        json!({"revision": -1}),
        json!({"revision": "1"}),
        json!({"revision": 1}),
        json!({"revision": "x.1.x"}),
        json!({"revision": 1.5}),
    ] {
        let told = send(&mut phone, &json!({"lastKnown": known})).json();
        assert_eq!(told["changes"]["reset"], true, "{known}");
        let ids: Vec<&Value> = told["changes"]["drafts"].as_array().unwrap().iter().map(|draft| &draft["id"]).collect();
        assert_eq!(ids, [&json!("one")]);
    }
    // Forgetting deletions raises the floor.
    db.sql("UPDATE accounts SET drafts_floor = 2");
    let told = |known: i64, phone: &mut crate::support::Client| {
        let known = revision(&db, phone, known);
        send(phone, &json!({"lastKnown": {"revision": known}})).json()["changes"].get("reset").is_some()
    };
    assert!(told(1, &mut phone) && !told(2, &mut phone) && !told(3, &mut phone));
}

async fn another_accounts_queue_is_refused_as_a_whole(db: TestDb) {
    let server = serve(&db);
    add_user(&db, ALEX, "member");
    let (mut kim, mut alex) = (signed_in(&server, KIM, "Kim's"), signed_in(&server, ALEX, "Alex's"));
    let id = alex.get("/api/session").json()["user"]["id"].clone();
    let answer = send(&mut kim, &json!({"lastKnown": {"userId": id}, "operations": [put("one", "a", 0)]}));
    assert_eq!((answer.status, answer.problem()), (409, "conflict".to_owned()));
    assert_eq!((texts(&mut kim), texts(&mut alex)), (vec![], vec![]));
    assert_eq!(db.sql("SELECT count(*) FROM operations"), "0");
    let id = kim.get("/api/session").json()["user"]["id"].clone();
    assert_eq!(send(&mut kim, &json!({"lastKnown": {"userId": id}})).status, 200);
}

async fn more_than_200_operations_or_256_kib_are_too_large(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let many: Vec<Value> = (0..201).map(|n| put(&format!("d{n}"), "x", 0)).collect();
    let large: Vec<Value> = (0..30).map(|n| put(&format!("d{n}"), &"x".repeat(9_000), 0)).collect();
    for operations in [many, large] {
        let answer = send(&mut phone, &json!({"operations": operations}));
        assert_eq!((answer.status, answer.problem()), (413, "too-large".to_owned()));
    }
    assert_eq!(texts(&mut phone), [""; 0]);
    let fits: Vec<Value> = (0..25).map(|n| put(&format!("d{n}"), &"x".repeat(10_000), 0)).collect();
    assert_eq!(send(&mut phone, &json!({"operations": fits})).status, 200);
}

async fn two_hundred_operations_in_one_call_are_fine(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let many: Vec<Value> = (0..200).map(|n| put(&format!("d{}", n / 2), &format!("{n}"), n % 2)).collect();
    let told = sync(&mut phone, &many);
    assert!(told["results"].as_array().unwrap().iter().all(|one| one["status"] == "applied"));
    assert_eq!((changes_of(&told["revision"]), texts(&mut phone).len()), (200, 100));
}

async fn an_invalid_call_is_refused_as_a_whole(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    for call in [
        json!([]),
        json!(1),
        json!({"operations": {}}),
        json!({"operations": "x"}),
        json!({"lastKnown": []}),
        json!({"lastKnown": {"userId": 1}}),
    ] {
        let answer = send(&mut phone, &call);
        assert_eq!((answer.status, answer.problem()), (400, "invalid-request".to_owned()), "{call}");
    }
}

async fn a_session_that_has_ended_applies_nothing(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let queue = json!({"operations": [put("one", "a", 0)]});
    db.sql("UPDATE sessions SET ended_at = INSTANT(0), ended_reason = 'revoked', ended_by = 'operator'");
    let answer = send(&mut phone, &queue);
    assert_eq!((answer.status, answer.problem()), (401, "session-ended".to_owned()));
    assert_eq!(send(&mut server.client(), &queue).problem(), "login-required");
    assert_eq!(db.sql("SELECT count(*) FROM drafts"), "0");
}

async fn device_facts_are_recorded(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let call = json!({"device": {"installed": true, "appVersion": "1.2.3", "name": "Pocket"}});
    let told = send(&mut phone, &call).json()["session"].clone();
    assert_eq!((&told["deviceName"], &told["client"]["installed"]), (&json!("Pocket"), &json!(true)), "{told}");
    assert_eq!(db.sql("SELECT app_version FROM devices"), "1.2.3");
    let device = phone.get("/api/devices").json()["devices"][0].clone();
    assert_eq!((&device["name"], &device["client"]["installed"]), (&json!("Pocket"), &json!(true)));
    assert_eq!(phone.get("/api/session").json()["session"]["client"]["installed"], true);
    assert_eq!(db.sql("SELECT detail FROM audit WHERE kind = 'device.renamed'"), "was Phone");
    // Invalid fields are ignored, and missing fields are left unchanged.
    let odd = json!({"device": {"appVersion": "\u{1}", "name": "\u{200b}"}});
    assert_eq!(send(&mut phone, &odd).status, 200);
    assert_eq!(send(&mut phone, &json!({"device": {"appVersion": "x".repeat(61)}})).status, 200);
    for odd in [json!(1), json!([]), json!({"name": 5, "installed": "yes", "appVersion": {}})] {
        assert_eq!(send(&mut phone, &json!({"device": odd})).status, 200, "{odd}");
    }
    let half = br#"{"device": {"name": "\ud800"}, "operations": []}"#;
    assert_eq!(phone.send("POST", "/api/session/sync", &[("Content-Type", "application/json")], half).status, 200);
    assert_eq!(send(&mut phone, &json!({"device": null, "lastKnown": null, "operations": null})).status, 200);
    assert_eq!(db.sql("SELECT app_version FROM devices"), "1.2.3");
    assert_eq!(own(&mut phone, "deviceName"), "Pocket");
}

async fn an_unattended_sync_is_no_activity(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let age = || db.sql("UPDATE sessions SET last_activity = INSTANT(-3600), expires_at = INSTANT(1800)");
    age();
    let body = b"{}";
    let headers = [("Content-Type", "application/json"), ("X-Unattended", "1")];
    assert!(phone.send("POST", "/api/session/sync", &headers, body).sets("aiq_session").is_none());
    let answer = send(&mut phone, &json!({}));
    assert!(answer.sets("aiq_session").is_some(), "{answer:?}");
}

async fn open_pages_hear_of_it(db: TestDb) {
    let server = serve(&db);
    let other_node = App::start(&db, &[]);
    add_user(&db, ALEX, "member");
    let (mut phone, mut desk) = (signed_in(&server, KIM, "Phone"), signed_in(&server, KIM, "Desk"));
    let mut alex = signed_in(&server, ALEX, "Alex's");
    let streams = [Stream::open(server.port, &desk), Stream::open(other_node.port, &desk)];
    let of_alex = Stream::open(server.port, &alex);
    result(&mut phone, &put("one", "a", 0));
    for stream in &streams {
        stream.until("drafts-changed");
    }
    // A call without changes announces nothing, and Alex receives nothing of Kim's.
    results(&mut phone, &[put("one", "a", 0), put("two", &"x".repeat(10_001), 0)]);
    result(&mut phone, &put("three", "c", 0));
    streams[0].until("drafts-changed");
    for client in [&mut desk, &mut alex] {
        assert_eq!(client.send("DELETE", "/api/session", &[], b"").status, 204);
    }
    for stream in [&streams[0], &of_alex] {
        let heard: Vec<String> = std::iter::from_fn(|| stream.next()).map(|told| told.name).collect();
        assert!(!heard.iter().any(|name| name == "drafts-changed"), "{heard:?}");
    }
}

async fn a_rename_wins_over_the_reported_name(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let device = own(&mut phone, "deviceId");
    let rename = json!({"id": super::uuid(), "kind": "device.rename", "deviceId": device, "name": "As I say"});
    let told = send(&mut phone, &json!({"device": {"name": "As it says"}, "operations": [rename]})).json();
    assert_eq!(told["session"]["deviceName"], "As I say");
    assert_eq!(own(&mut phone, "deviceName"), "As I say");
}

async fn a_session_that_logs_itself_out_is_not_current(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let id = own(&mut phone, "id");
    let logout = json!({"id": super::uuid(), "kind": "session.logout", "sessionId": id});
    let told = sync(&mut phone, &[logout, put("one", "a", 0)]);
    assert_eq!((&told["session"]["id"], &told["session"]["current"]), (&json!(id), &json!(false)));
    assert_eq!(told["results"][1]["status"], "applied", "the whole call is applied");
    assert_eq!(phone.get("/api/session").status, 401);
}

async fn a_call_of_exactly_256_kib_is_taken(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let call = json!({"operations": [put("one", "a", 0)]}).to_string();
    for (length, status) in [(262_144, 200), (262_145, 413)] {
        let body = format!("{call}{}", " ".repeat(length - call.len()));
        let headers = [("Content-Type", "application/json")];
        assert_eq!(phone.send("POST", "/api/session/sync", &headers, body.as_bytes()).status, status, "{length}");
    }
}

/// Lets Citus pass triggers on to the workers. Without Citus, it means nothing.
const ON_CITUS: &str = "SET citus.enable_unsafe_triggers = on;";

async fn a_call_that_fails_halfway_leaves_nothing(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let before = (db.sql("SELECT count(*) FROM audit"), db.sql("SELECT revision FROM accounts"));
    // The drafts are written before the operations.
    match db.engine {
        Engine::Sqlite => {
            db.sql("CREATE TRIGGER refuse BEFORE INSERT ON operations BEGIN SELECT RAISE(ABORT, 'refused'); END")
        }
        Engine::Postgres => db.sql(&format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$; {ON_CITUS} \
             CREATE TRIGGER refuse BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION refuse()",
        )),
    };
    let call = json!({"device": {"name": "Never"}, "operations": [put("one", "a", 0), put("two", "b", 0)]});
    assert!(send(&mut phone, &call).status >= 500);
    let after = (db.sql("SELECT count(*) FROM audit"), db.sql("SELECT revision FROM accounts"));
    assert_eq!((texts(&mut phone), after), (vec![], before));
    assert_eq!(own(&mut phone, "deviceName"), "Phone");
    db.sql(&match db.engine {
        Engine::Sqlite => "DROP TRIGGER refuse".to_owned(),
        Engine::Postgres => format!("{ON_CITUS} DROP TRIGGER refuse ON operations"),
    });
    assert_eq!(changes_of(&send(&mut phone, &call).json()["revision"]), 2);
}
