//! What the sweep deletes, and when.

use serde_json::json;

use super::{KIM, delete, put, result, results, revision, send, serve, signed_in};
use crate::support::{TestDb, on_both_engines_and_citus, sessile};

on_both_engines_and_citus! {
    operations_are_known_for_30_days,
    deletions_are_reported_for_90_days,
}

async fn operations_are_known_for_30_days(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let (old, young) = (put("one", "a", 0), put("two", "b", 0));
    results(&mut phone, &[old.clone(), young.clone()]);
    let id = old["id"].as_str().unwrap();
    db.sql("UPDATE operations SET at = INSTANT(-2591990)");
    db.sql(&format!("UPDATE operations SET at = INSTANT(-2592001) WHERE id = '{id}'"));
    assert!(sessile(&db, &["prune"], "").status.success());
    assert_eq!(db.sql("SELECT count(*) FROM operations"), "1");
    assert_eq!(result(&mut phone, &young)["status"], "duplicate");
}

async fn deletions_are_reported_for_90_days(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    results(&mut phone, &[put("one", "a", 0), put("two", "b", 0), put("three", "c", 0)]);
    results(&mut phone, &[delete("one", 1), delete("two", 1)]);
    db.sql("UPDATE drafts SET deleted_at = INSTANT(-7775990) WHERE id = 'two'");
    db.sql("UPDATE drafts SET deleted_at = INSTANT(-7776001) WHERE id = 'one'");
    assert!(sessile(&db, &["prune"], "").status.success());
    assert_eq!(db.sql("SELECT count(*) FROM drafts"), "2");
    let behind = json!({"lastKnown": {"revision": revision(&db, &mut phone, 3)}});
    let behind = send(&mut phone, &behind).json();
    assert_eq!(behind["changes"]["reset"], true);
    assert_eq!(behind["changes"]["drafts"].as_array().unwrap().len(), 1);
    let abreast = json!({"lastKnown": {"revision": revision(&db, &mut phone, 4)}});
    let abreast = send(&mut phone, &abreast).json();
    assert_eq!((abreast["changes"].get("reset"), &abreast["changes"]["drafts"][0]["deleted"]), (None, &json!(true)));
    // A text based on a forgotten draft is not lost.
    assert_eq!(result(&mut phone, &put("one", "a, gone on with", 1))["draft"]["text"], "a, gone on with");
}
