//! The effect and the result of each kind of operation.

use serde_json::{Value, json};

use super::{
    ALEX, KIM, assert_rejected, changes_of, delete, own, put, result, results, serve, signed_in, sync, texts, uuid,
};
use sessile::records::draft::MOST;

use crate::support::{TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_put_with_base_version_0_is_a_new_draft,
    a_put_on_the_stored_version_is_the_next_one,
    a_put_of_the_stored_text_makes_no_new_version,
    a_put_on_a_changed_draft_keeps_both_texts,
    a_put_on_a_deleted_draft_makes_a_new_one,
    a_delete_deletes_and_a_stale_one_deletes_nothing,
    a_repeated_operation_is_a_duplicate_with_the_first_result,
    the_same_id_with_another_body_is_rejected,
    a_rejected_operation_may_be_sent_again,
    operations_apply_in_order_and_the_others_still_apply,
    a_text_has_up_to_ten_thousand_characters_of_any_kind,
    half_of_a_surrogate_pair_rejects_its_own_operation_only,
    drafts_per_account_are_bounded,
    a_device_is_renamed,
    a_logout_ends_only_the_named_session,
    a_logout_of_the_session_in_use_takes_its_cookie,
    a_session_of_another_device_needs_a_fresh_password,
    other_accounts_objects_are_not_found,
    saves_and_conflicts_are_audited,
    a_text_that_cannot_be_an_id_is_not_found,
}

async fn a_put_with_base_version_0_is_a_new_draft(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let operation = put("one", "Low tide at six", 0);
    let made = result(&mut phone, &operation);
    assert_eq!(made["id"], operation["id"]);
    assert_eq!(made["status"], "applied");
    let draft = &made["draft"];
    assert_eq!(
        (&draft["id"], &draft["text"], &draft["version"]),
        (&json!("one"), &json!("Low tide at six"), &json!(1))
    );
    assert_eq!(draft["updatedOn"], "Phone");
    let at = draft["updatedAt"].as_str().unwrap();
    assert!(at.len() == 24 && at.ends_with('Z'), "{at}");
    assert!(draft.get("deleted").is_none(), "{draft}");
    let listed = phone.get("/api/drafts").json();
    assert_eq!((&listed["drafts"], changes_of(&listed["revision"])), (&json!([draft]), 1));
}

async fn a_put_on_the_stored_version_is_the_next_one(db: TestDb) {
    let server = serve(&db);
    let (mut phone, mut desk) = (signed_in(&server, KIM, "Phone"), signed_in(&server, KIM, "Desk"));
    result(&mut phone, &put("one", "a", 0));
    let next = result(&mut desk, &put("one", "ab", 1));
    assert_eq!((&next["status"], &next["draft"]["version"]), (&json!("applied"), &json!(2)));
    assert_eq!(next["draft"]["updatedOn"], "Desk");
    assert_eq!(texts(&mut phone), ["ab"]);
}

async fn a_put_of_the_stored_text_makes_no_new_version(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let first = result(&mut phone, &put("one", "same", 0));
    for base in [0, 1, 7] {
        let again = result(&mut phone, &put("one", "same", base));
        assert_eq!((&again["status"], &again["draft"]), (&json!("applied"), &first["draft"]), "{base}");
    }
    assert_eq!(changes_of(&phone.get("/api/drafts").json()["revision"]), 1);
}

async fn a_put_on_a_changed_draft_keeps_both_texts(db: TestDb) {
    let server = serve(&db);
    let (mut phone, mut desk) = (signed_in(&server, KIM, "Phone"), signed_in(&server, KIM, "Desk"));
    result(&mut phone, &put("one", "begun", 0));
    result(&mut desk, &put("one", "begun, at the desk", 1));
    for base in [1, 0, 9] {
        let text = format!("begun, on the phone {base}");
        let conflict = result(&mut phone, &put("one", &text, base));
        assert_eq!(conflict["status"], "conflict");
        let copy = &conflict["draft"];
        assert_eq!((&copy["text"], &copy["version"], &copy["conflictOf"]), (&json!(text), &json!(1), &json!("one")));
        assert_ne!(copy["id"], "one");
    }
    assert_eq!(
        texts(&mut desk),
        ["begun, at the desk", "begun, on the phone 0", "begun, on the phone 1", "begun, on the phone 9"]
    );
}

async fn a_put_on_a_deleted_draft_makes_a_new_one(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    results(&mut phone, &[put("one", "a", 0), delete("one", 1)]);
    for (draft, base) in [("one", 1), ("one", 2), ("one", 0), ("never", 3)] {
        let made = result(&mut phone, &put(draft, &format!("{draft} {base}"), base));
        assert_eq!(made["status"], "conflict", "{made}");
        assert!(made["draft"]["id"] != draft && made["draft"].get("conflictOf").is_none(), "{made}");
    }
    assert_eq!(texts(&mut phone), ["never 3", "one 0", "one 1", "one 2"]);
}

async fn a_delete_deletes_and_a_stale_one_deletes_nothing(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    results(&mut phone, &[put("one", "a", 0), put("one", "b", 1)]);
    assert_eq!(result(&mut phone, &delete("one", 1))["status"], "conflict");
    assert_eq!(texts(&mut phone), ["b"]);
    assert_eq!(result(&mut phone, &delete("one", 2))["status"], "applied");
    assert_eq!(texts(&mut phone), [""; 0]);
    assert_eq!(result(&mut phone, &delete("one", 1))["status"], "applied", "the draft is already deleted");
    assert_rejected(&result(&mut phone, &delete("never", 1)), "not-found");
    assert_eq!(db.sql("SELECT text FROM drafts"), "", "the text of a deleted draft is not kept");
}

async fn a_repeated_operation_is_a_duplicate_with_the_first_result(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let (make, edit, stale) = (put("one", "a", 0), put("one", "b", 1), put("one", "c", 1));
    let queue = [make, edit, stale, delete("one", 9)];
    let first = results(&mut phone, &queue);
    assert_eq!(
        first.iter().map(|one| one["status"].as_str().unwrap()).collect::<Vec<_>>(),
        ["applied", "applied", "conflict", "conflict"]
    );
    let revision = phone.get("/api/drafts").json()["revision"].clone();
    db.sql("UPDATE drafts SET text = text || '!', version = version + 5");
    for _ in 0..2 {
        for (before, again) in first.iter().zip(results(&mut phone, &queue)) {
            assert_eq!((&again["status"], &again["first"]), (&json!("duplicate"), &before["status"]));
            assert_eq!((&again["id"], &again["draft"]), (&before["id"], &before["draft"]));
        }
    }
    // Even within one call. An id is the same in capitals.
    let mut twice = put("two", "x", 0);
    let one = twice.clone();
    twice["id"] = json!(twice["id"].as_str().unwrap().to_uppercase());
    let three = results(&mut phone, &[one.clone(), one, twice.clone()]);
    assert_eq!((&three[0]["status"], &three[1]["status"]), (&json!("applied"), &json!("duplicate")));
    assert_eq!((&three[2]["status"], &three[2]["id"]), (&json!("duplicate"), &twice["id"]));
    // Even after the draft was deleted.
    result(&mut phone, &delete("two", 1));
    let again = result(&mut phone, &twice);
    assert_eq!((&again["status"], &again["draft"]["text"]), (&json!("duplicate"), &json!("x")));
    assert_eq!(changes_of(&phone.get("/api/drafts").json()["revision"]), changes_of(&revision) + 2);
}

async fn the_same_id_with_another_body_is_rejected(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let operation = put("one", "a", 0);
    result(&mut phone, &operation);
    for (name, value) in
        [("text", json!("b")), ("at", json!("another time")), ("baseVersion", json!(1)), ("more", json!(1))]
    {
        let mut other = operation.clone();
        other[name] = value;
        assert_rejected(&result(&mut phone, &other), "conflict");
    }
    assert_eq!(texts(&mut phone), ["a"]);
    // Each account has its own operation ids.
    add_user(&db, ALEX, "member");
    let mut alex = signed_in(&server, ALEX, "Alex's");
    assert_eq!(result(&mut alex, &operation)["status"], "applied");
    assert_eq!(texts(&mut phone), ["a"]);
}

async fn a_rejected_operation_may_be_sent_again(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let early = delete("one", 1);
    assert_rejected(&result(&mut phone, &early), "not-found");
    result(&mut phone, &put("one", "a", 0));
    assert_eq!(result(&mut phone, &early)["status"], "applied");
}

async fn operations_apply_in_order_and_the_others_still_apply(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let (made, edited) = (put("one", "a", 0), put("one", "b", 1));
    let odd = [
        json!(7),
        json!({}),
        json!({"id": "no uuid", "kind": "draft.put", "draftId": "x", "text": "", "baseVersion": 0}),
        json!({"id": uuid(), "kind": "draft.burn"}),
        json!({"id": uuid(), "kind": "draft.put", "draftId": "", "text": "", "baseVersion": 0}),
        json!({"id": uuid(), "kind": "draft.put", "draftId": "x", "baseVersion": 0}),
        json!({"id": uuid(), "kind": "draft.put", "draftId": "x", "text": 5, "baseVersion": 0}),
        json!({"id": uuid(), "kind": "draft.put", "draftId": "x", "text": "", "baseVersion": -1}),
        json!({"id": uuid(), "kind": "draft.put", "draftId": "x", "text": "", "baseVersion": 1.5}),
        json!({"id": uuid(), "kind": "draft.put", "draftId": "x", "text": "a\u{0}b", "baseVersion": 0}),
        json!({"id": uuid(), "kind": "draft.put", "draftId": "x", "text": "a".repeat(10_001), "baseVersion": 0}),
        json!({"id": uuid(), "kind": "device.rename", "deviceId": "x", "name": ""}),
        json!({"id": uuid(), "kind": "session.logout"}),
    ];
    let queue: Vec<Value> = [made].into_iter().chain(odd.iter().cloned()).chain([edited]).collect();
    let all = results(&mut phone, &queue);
    assert_eq!(all.len(), queue.len());
    for (sent, result) in odd.iter().zip(&all[1..]) {
        assert_rejected(result, "invalid-request");
        assert_eq!(result["id"], sent.get("id").cloned().unwrap_or_default(), "{result}");
    }
    assert_eq!(
        (&all[0]["status"], &all[14]["status"], &all[14]["draft"]["version"]),
        (&json!("applied"), &json!("applied"), &json!(2))
    );
}

async fn a_text_has_up_to_ten_thousand_characters_of_any_kind(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let texts = [
        String::new(),
        "😀".repeat(10_000),
        "e\u{301}\u{202e}\u{feff}\u{1}\u{7f}\u{fffe}\r\n\t\\\"'".to_owned(),
        "👩‍👩‍👧‍👦 ﷽ \u{10ffff}".to_owned(),
    ];
    for (n, text) in texts.iter().enumerate() {
        let made = result(&mut phone, &put(&format!("d{n}"), text, 0));
        assert_eq!((&made["status"], &made["draft"]["text"]), (&json!("applied"), &json!(text)));
    }
    let drafts = phone.get("/api/drafts").json()["drafts"].as_array().unwrap().clone();
    for (n, text) in texts.iter().enumerate() {
        assert!(drafts.iter().any(|draft| draft["id"] == format!("d{n}") && draft["text"] == *text), "{text:.20}");
    }
    assert_rejected(&result(&mut phone, &put("long", &"😀".repeat(10_001), 0)), "invalid-request");
}

async fn half_of_a_surrogate_pair_rejects_its_own_operation_only(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let good = put("one", "a", 0);
    let id = uuid();
    let body = format!(
        r#"{{"operations": [{{"id": "{id}", "kind": "draft.put", "draftId": "x", "text": "\ud800", "baseVersion": 0}}, {good}]}}"#
    );
    let answer = phone.send("POST", "/api/session/sync", &[("Content-Type", "application/json")], body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    let results = answer.json()["results"].clone();
    assert_rejected(&results[0], "invalid-request");
    assert_eq!((&results[0]["id"], &results[1]["status"]), (&json!(id), &json!("applied")));
}

async fn drafts_per_account_are_bounded(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let add = |from: i64, to: i64| {
        db.sql(&format!(
            "INSERT INTO drafts (account_id, id, text, version, revision, updated_at, updated_on) \
             SELECT (SELECT id FROM accounts), 'd' || i, 'x', 1, 0, INSTANT(0), 'D' FROM {} WHERE i >= {from}",
            db.engine.numbers(to)
        ))
    };
    add(1, MOST - 1);
    assert_eq!(result(&mut phone, &put("last", "x", 0))["status"], "applied");
    assert_rejected(&result(&mut phone, &put("more", "x", 0)), "conflict");
    assert_eq!(result(&mut phone, &put("d1", "edited", 1))["status"], "applied");
    let swapped = results(&mut phone, &[delete("d2", 1), put("more", "x", 0)]);
    assert!(swapped.iter().all(|one| one["status"] == "applied"), "{swapped:?}");
    // Copies from conflicts may exceed the limit, up to the same number again.
    assert_eq!(result(&mut phone, &put("d1", "somebody's", 1))["status"], "conflict");
    add(MOST + 1, 2 * MOST - 1);
    assert_rejected(&result(&mut phone, &put("d1", "somebody else's", 1)), "conflict");
}

async fn a_device_is_renamed(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let device = own(&mut phone, "deviceId");
    let rename = |name: &str| json!({"id": uuid(), "kind": "device.rename", "deviceId": device, "name": name});
    let told = sync(&mut phone, &[rename("  Pocket "), put("one", "a", 0)]);
    assert_eq!(told["results"][0]["status"], "applied");
    assert_eq!(
        (&told["session"]["deviceName"], &told["results"][1]["draft"]["updatedOn"]),
        (&json!("Pocket"), &json!("Pocket"))
    );
    assert_eq!(own(&mut phone, "deviceName"), "Pocket");
    assert_eq!(db.sql("SELECT detail FROM audit WHERE kind = 'device.renamed'"), "was Phone");
    assert_eq!(result(&mut phone, &rename("Pocket"))["status"], "applied");
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind = 'device.renamed'"), "1");
    let unknown = json!({"id": uuid(), "kind": "device.rename", "deviceId": "dev_unknown", "name": "X"});
    assert_rejected(&result(&mut phone, &unknown), "not-found");
    // A forgotten device cannot be renamed, even while other devices still ask about it.
    let mut desk = signed_in(&server, KIM, "Desk");
    let gone = own(&mut desk, "deviceId");
    assert_eq!(phone.send("DELETE", &format!("/api/devices/{gone}"), &[], b"").status, 204);
    db.sql(&format!("UPDATE devices SET acknowledged_at = NULL WHERE id = '{gone}'"));
    let forgotten = json!({"id": uuid(), "kind": "device.rename", "deviceId": gone, "name": "X"});
    assert_rejected(&result(&mut phone, &forgotten), "not-found");
    assert_eq!(phone.json("PATCH", &format!("/api/devices/{gone}"), &json!({"name": "X"})).status, 404);
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind = 'device.renamed'"), "1");
}

fn logout(session: &str) -> Value {
    json!({"id": uuid(), "kind": "session.logout", "sessionId": session})
}

async fn a_logout_ends_only_the_named_session(db: TestDb) {
    let server = serve(&db);
    let (mut phone, mut desk) = (signed_in(&server, KIM, "Phone"), signed_in(&server, KIM, "Desk"));
    let gone = own(&mut desk, "id");
    let operation = logout(&gone);
    assert_eq!(result(&mut phone, &operation)["status"], "applied");
    assert_eq!(desk.get("/api/session").json()["reason"], "logged-out");
    assert_eq!(phone.get("/api/session").status, 200);
    assert_eq!(result(&mut phone, &operation)["status"], "duplicate");
    assert_eq!(result(&mut phone, &logout(&gone))["status"], "applied", "the session has already ended");
    assert_rejected(&result(&mut phone, &logout("aiq_unknown")), "not-found");
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind = 'logout'"), "1");
}

async fn a_logout_of_the_session_in_use_takes_its_cookie(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let session = own(&mut phone, "id");
    let answer =
        super::send(&mut phone, &json!({"operations": [put("one", "a", 0), logout(&session), put("two", "b", 0)]}));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.sets("aiq_session").is_some_and(|cookie| cookie.contains("Max-Age=0")), "{answer:?}");
    let statuses: Vec<Value> =
        answer.json()["results"].as_array().unwrap().iter().map(|one| one["status"].clone()).collect();
    assert_eq!(statuses, ["applied"; 3]);
    assert_eq!(phone.get("/api/session").problem(), "login-required");
    assert_eq!(db.sql("SELECT ended_reason FROM sessions"), "logged-out");
    assert_eq!(texts(&mut signed_in(&server, KIM, "Phone")), ["a", "b"]);
}

async fn a_session_of_another_device_needs_a_fresh_password(db: TestDb) {
    let server = serve(&db);
    let (mut phone, mut desk) = (signed_in(&server, KIM, "Phone"), signed_in(&server, KIM, "Desk"));
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(-660)");
    let (here, there) = (own(&mut phone, "id"), own(&mut desk, "id"));
    assert_rejected(&result(&mut phone, &logout(&there)), "confirmation-required");
    assert_eq!(desk.get("/api/session").status, 200);
    assert_eq!(result(&mut phone, &logout(&here))["status"], "applied", "the current session needs no confirmation");
}

async fn other_accounts_objects_are_not_found(db: TestDb) {
    let server = serve(&db);
    add_user(&db, ALEX, "member");
    let (mut kim, mut alex) = (signed_in(&server, KIM, "Kim's"), signed_in(&server, ALEX, "Alex's"));
    result(&mut alex, &put("one", "Alex's words", 0));
    let (session, device) = (own(&mut alex, "id"), own(&mut alex, "deviceId"));
    assert_rejected(&result(&mut kim, &delete("one", 1)), "not-found");
    assert_rejected(&result(&mut kim, &logout(&session)), "not-found");
    let rename = json!({"id": uuid(), "kind": "device.rename", "deviceId": device, "name": "Mine"});
    assert_rejected(&result(&mut kim, &rename), "not-found");
    // Each account has its own draft ids.
    let mine = result(&mut kim, &put("one", "Kim's words", 0));
    assert_eq!((&mine["status"], &mine["draft"]["version"]), (&json!("applied"), &json!(1)));
    let all = sync(&mut kim, &[]);
    assert!(!all.to_string().contains("Alex"), "{all}");
    assert_eq!((texts(&mut kim), texts(&mut alex)), (vec!["Kim's words".to_owned()], vec!["Alex's words".to_owned()]));
    assert_eq!(own(&mut alex, "deviceName"), "Alex's");
}

async fn saves_and_conflicts_are_audited(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let count = |kind: &str| db.sql(&format!("SELECT count(*) FROM audit WHERE kind = '{kind}'"));
    let first = put("one", "a", 0);
    results(&mut phone, &[first.clone(), put("two", "b", 0)]);
    assert_eq!(
        (count("sync.applied"), db.sql("SELECT detail FROM audit WHERE kind = 'sync.applied'")),
        ("1".into(), "2 changes".into())
    );
    // These record no event: an empty call, duplicates, and mere edits within ten minutes.
    results(&mut phone, &[]);
    results(&mut phone, &[first, put("one", "a", 1)]);
    results(&mut phone, &[put("one", "ab", 1)]);
    assert_eq!(count("sync.applied"), "1");
    db.sql("UPDATE devices SET sync_noted_at = INSTANT(-601)");
    results(&mut phone, &[put("one", "abc", 2)]);
    assert_eq!(count("sync.applied"), "2");
    results(&mut phone, &[put("one", "x", 1)]);
    assert_eq!((count("sync.conflict"), count("sync.applied")), ("1".into(), "3".into()));
    let told = db.sql("SELECT detail || ' ' || session_id FROM audit WHERE kind = 'sync.conflict'");
    assert_eq!(told, format!("one {}", own(&mut phone, "id")), "the event names draft and session but not the text");
    let page = phone.get("/activity").body;
    assert!(page.contains("Drafts saved") && page.contains("written in two places"), "{page}");
}

/// PostgreSQL rejects U+0000 in a text.
async fn a_text_that_cannot_be_an_id_is_not_found(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let rename = json!({"id": uuid(), "kind": "device.rename", "at": "x", "deviceId": "dev_\0", "name": "N"});
    let log_out = json!({"id": uuid(), "kind": "session.logout", "at": "x", "sessionId": "aiq_\0"});
    let done = results(&mut desk, &[rename, log_out, put("fine", "text", 0)]);
    assert_rejected(&done[0], "not-found");
    assert_rejected(&done[1], "not-found");
    assert_eq!(done[2]["status"], "applied", "{}", done[2]);
}
