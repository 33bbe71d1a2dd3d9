//! After a restored backup, or a failover that lost commits, nothing is overwritten, nothing disappears, and clients
//! begin anew.

use serde_json::{Value, json};

use super::{
    KIM, changes_of, delete, put, result, results, revision, send, serve_process, signed_in, sync, texts, uuid,
};
use crate::support::{Client, Engine, Server, TestDb, on_both_engines, sessile};

on_both_engines! {
    a_client_of_another_history_begins_anew,
    versions_of_two_histories_never_meet,
    a_newer_known_revision_proves_a_loss,
    a_made_up_revision_proves_nothing,
    only_texts_of_a_lost_history_come_back,
    texts_come_back_as_conflicts_where_the_draft_went_on,
    the_start_notices_that_the_database_is_elsewhere,
    the_start_notices_a_backup_that_was_copied_over_the_file,
    restored_ends_all_sessions_and_links_that_create_an_owner,
    a_promoted_server_begins_a_new_history_with_the_first_change,
}

const TABLES: [&str; 3] = ["drafts", "operations", "accounts"];

/// Copies the current drafts, as a backup does.
fn back_up(db: &TestDb) {
    for table in TABLES {
        db.sql(&format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}"));
    }
}

/// Restores the copied drafts without changing the history.
fn put_back(db: &TestDb) {
    db.sql("DELETE FROM drafts; DELETE FROM operations");
    for table in ["drafts", "operations"] {
        db.sql(&format!("INSERT INTO {table} SELECT * FROM kept_{table}"));
    }
    db.sql("UPDATE accounts SET revision = (SELECT revision FROM kept_accounts k WHERE k.id = accounts.id)");
}

/// Restores the copied drafts as docs/operating.md describes, except that sessions stay alive.
fn restore(db: &TestDb) {
    put_back(db);
    db.sql("UPDATE instance SET place = '0/0'");
    drop(Server::start(db, &[]));
    assert!(sessile(db, &["restored", "--nothing-lost"], "").status.success());
}

fn keep(draft: &str, text: &str, version: i64) -> Value {
    json!({"id": uuid(), "kind": "draft.keep", "draftId": draft, "text": text, "baseVersion": version})
}

fn version(result: &Value) -> i64 {
    result["draft"]["version"].as_i64().unwrap_or_else(|| panic!("a version: {result}"))
}

fn known(client: &mut Client, revision: &Value) -> Value {
    send(client, &json!({"lastKnown": {"revision": revision}})).json()
}

async fn a_client_of_another_history_begins_anew(db: TestDb) {
    let server = serve_process(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let before = sync(&mut phone, &[put("one", "a", 0), put("two", "b", 0)])["revision"].clone();
    back_up(&db);
    let seen = sync(&mut phone, &[put("three", "c", 0), delete("one", 1)])["revision"].clone();
    restore(&db);
    // Make as many changes as before the loss.
    sync(&mut phone, &[put("four", "d", 0), put("five", "e", 0)]);
    for known_before in [before, seen] {
        let told = known(&mut phone, &known_before);
        assert_eq!((&told["changes"]["reset"], &told["changes"]["restored"]), (&json!(true), &json!(true)));
        assert_eq!(told["changes"]["drafts"].as_array().unwrap().len(), 4);
        let again = known(&mut phone, &told["revision"]);
        assert_eq!((again["changes"].get("reset"), again["changes"].get("restored")), (None, None));
    }
}

async fn versions_of_two_histories_never_meet(db: TestDb) {
    let server = serve_process(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    assert_eq!(version(&result(&mut phone, &put("one", "first", 0))), 1);
    back_up(&db);
    let mut lost = vec![version(&result(&mut phone, &put("one", "lost", 1)))];
    assert_eq!(lost, [2]);
    for round in 0..2 {
        restore(&db);
        // A client that has read the stored version writes on it.
        let text = format!("written {round}");
        let written = result(&mut phone, &put("one", &text, 1));
        assert_eq!((&written["status"], written["draft"]["id"].as_str()), (&json!("applied"), Some("one")));
        let made = result(&mut phone, &put("two", "new", 0));
        for before in &lost {
            let late = result(&mut phone, &put("one", &format!("late {before}"), *before));
            assert_eq!(late["status"], "conflict", "{late}");
            let late = result(&mut phone, &delete("one", *before));
            assert_eq!(late["status"], "conflict", "{late}");
        }
        assert!(texts(&mut phone).contains(&text));
        assert!(version(&made) > 2 && version(&made) < 1 << 53);
        lost.extend([version(&written), version(&made)]);
    }
}

async fn a_newer_known_revision_proves_a_loss(db: TestDb) {
    let server = serve_process(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    sync(&mut phone, &[put("one", "a", 0)]);
    back_up(&db);
    let seen = sync(&mut phone, &[put("one", "lost", 1)])["revision"].clone();
    let history = db.sql("SELECT history FROM instance");
    put_back(&db);
    let told = send(&mut phone, &json!({"lastKnown": {"revision": seen}, "operations": [put("two", "b", 0)]}));
    assert_eq!(told.status, 200, "{told:?}");
    let told = told.json();
    assert_eq!((&told["changes"]["reset"], &told["changes"]["restored"]), (&json!(true), &json!(true)));
    assert_eq!(told["results"][0]["status"], "applied");
    assert_ne!(db.sql("SELECT history FROM instance"), history);
    // A text based on the lost version does not overwrite the stored text.
    assert_eq!(result(&mut phone, &put("one", "on the lost one", 2))["status"], "conflict");
    let doctor = sessile(&db, &["doctor"], "");
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("FAIL history"), "{doctor:?}");
    assert!(sessile(&db, &["restored", "--nothing-lost"], "").status.success());
    assert!(sessile(&db, &["doctor"], "").status.success());
}

async fn a_made_up_revision_proves_nothing(db: TestDb) {
    let server = serve_process(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    sync(&mut phone, &[put("one", "a", 0)]);
    let history = db.sql("SELECT history FROM instance");
    let good = revision(&db, &mut phone, 7).as_str().unwrap().to_owned();
    let seal = good.rsplit_once('.').unwrap().1;
    for made_up in [format!("{history}.8.{seal}"), format!("{history}.7."), format!("{history}.7.{seal}x")] {
        let told = known(&mut phone, &json!(made_up));
        assert_eq!((&told["changes"]["reset"], told["changes"].get("restored")), (&json!(true), None));
    }
    assert_eq!(db.sql("SELECT history FROM instance"), history);
}

async fn only_texts_of_a_lost_history_come_back(db: TestDb) {
    let server = serve_process(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let begun = [put("same", "a", 0), put("behind", "b", 0), put("gone", "c", 0), put("lost", "d", 0)];
    results(&mut phone, &begun);
    results(&mut phone, &[put("behind", "b2", 1), delete("gone", 1)]);
    back_up(&db);
    results(&mut phone, &[put("lost", "d2", 1), put("made", "e", 0)]);
    restore(&db);
    let done = [
        keep("same", "a", 1),
        keep("behind", "b", 1),
        keep("gone", "c", 1),
        keep("lost", "d2", 2),
        keep("made", "e", 1),
    ];
    for (status, one) in results(&mut phone, &done).iter().map(|one| (one["status"].clone(), one)) {
        assert_eq!(status, "applied", "{one}");
    }
    assert_eq!(texts(&mut phone), ["a", "b2", "d2", "e"]);
    // A second device with the same texts changes nothing more, and neither does a device that is behind.
    let before = changes_of(&phone.get("/api/drafts").json()["revision"]);
    results(&mut phone, &[keep("lost", "d2", 2), keep("made", "e", 1), keep("lost", "d", 1)]);
    assert_eq!(texts(&mut phone), ["a", "b2", "d2", "e"]);
    assert_eq!(changes_of(&phone.get("/api/drafts").json()["revision"]), before);
    assert_eq!(result(&mut phone, &done[3])["status"], "duplicate");
}

async fn texts_come_back_as_conflicts_where_the_draft_went_on(db: TestDb) {
    let server = serve_process(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    results(&mut phone, &[put("one", "a", 0), put("two", "b", 0)]);
    back_up(&db);
    results(&mut phone, &[put("one", "a lost", 1), put("two", "b lost", 1)]);
    restore(&db);
    results(&mut phone, &[put("one", "a since", 1), delete("two", 1)]);
    let kept = results(&mut phone, &[keep("one", "a lost", 2), keep("two", "b lost", 2), keep("one", "a", 1)]);
    assert_eq!((&kept[0]["status"], &kept[0]["draft"]["conflictOf"]), (&json!("conflict"), &json!("one")));
    assert_eq!((&kept[1]["status"], kept[1]["draft"].get("conflictOf")), (&json!("conflict"), None));
    assert_eq!((&kept[2]["status"], &kept[2]["draft"]["text"]), (&json!("applied"), &json!("a since")));
    assert_eq!(texts(&mut phone), ["a lost", "a since", "b lost"]);
}

async fn the_start_notices_that_the_database_is_elsewhere(db: TestDb) {
    let server = serve_process(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let seen = sync(&mut phone, &[put("one", "a", 0)])["revision"].clone();
    drop(server);
    assert!(sessile(&db, &["doctor"], "").status.success());
    let cookies = phone.cookies.clone();
    db.sql("UPDATE instance SET place = '0/0'");
    for _ in 0..2 {
        let doctor = sessile(&db, &["doctor"], "");
        assert!(String::from_utf8_lossy(&doctor.stdout).contains("FAIL history"), "{doctor:?}");
        let server = Server::start(&db, &[]);
        phone = server.client();
        phone.cookies.clone_from(&cookies);
        assert_eq!(known(&mut phone, &seen)["changes"]["restored"], true, "nobody is signed out");
    }
    let before = db.sql("SELECT history FROM instance");
    let confirmed = sessile(&db, &["restored", "--nothing-lost"], "");
    assert_eq!(String::from_utf8_lossy(&confirmed.stdout), "confirmed: nothing was lost\n");
    assert_eq!(db.sql("SELECT history FROM instance"), before);
    assert!(sessile(&db, &["doctor"], "").status.success());
}

/// The file is the same, but its content comes from a backup made before the server ran or while it ran.
async fn the_start_notices_a_backup_that_was_copied_over_the_file(db: TestDb) {
    if db.engine == Engine::Postgres {
        return;
    }
    let file = db.folder.join("test.sqlite3");
    let server = serve_process(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let begun = version(&result(&mut phone, &put("one", "begun", 0)));
    let cookies = phone.cookies.clone();
    let backup = db.folder.join("backup");
    db.sql(&format!("VACUUM INTO '{}'", backup.display()));
    let seen = sync(&mut phone, &[put("one", "lost", begun)]);
    server.stopped();
    // Stopping and starting the server does not count as a restored backup.
    Server::start(&db, &[]).stopped();
    Server::start(&db, &[]).stopped();
    let doctor = || String::from_utf8_lossy(&sessile(&db, &["doctor"], "").stdout).into_owned();
    assert!(doctor().contains("ok  history"), "{}", doctor());
    std::fs::write(&file, std::fs::read(&backup).unwrap()).unwrap();
    assert!(doctor().contains("FAIL history"), "{}", doctor());
    let server = Server::start(&db, &[]);
    let (mut phone, mut desk) = (server.client(), signed_in(&server, KIM, "Desk"));
    phone.cookies = cookies;
    assert_eq!(result(&mut desk, &put("one", "since", begun))["status"], "applied");
    let lost = seen["results"][0]["draft"]["version"].as_i64().unwrap();
    let call =
        json!({"lastKnown": {"revision": seen["revision"]}, "operations": [put("one", "on what was lost", lost)]});
    let told = send(&mut phone, &call).json();
    assert_eq!(told["results"][0]["status"], "conflict", "{told}");
    assert_eq!(told["changes"]["restored"], true, "{told}");
    assert_eq!(texts(&mut phone), ["on what was lost", "since"]);
}

async fn restored_ends_all_sessions_and_links_that_create_an_owner(db: TestDb) {
    let server = serve_process(&db);
    let (mut phone, mut desk) = (signed_in(&server, KIM, "Phone"), signed_in(&server, KIM, "Desk"));
    db.sql(
        "INSERT INTO links (account_id, token_hash, purpose, made_by, made_at, expires_at) \
         SELECT '', secret_hash, 'setup', 'operator', INSTANT(0), INSTANT(3600) FROM sessions LIMIT 1",
    );
    let before = db.sql("SELECT history FROM instance");
    let out = sessile(&db, &["restored"], "");
    assert_eq!(String::from_utf8_lossy(&out.stdout), "ended 2; clients begin anew\n", "{out:?}");
    for client in [&mut phone, &mut desk] {
        assert_eq!(client.get("/api/session").status, 401);
    }
    assert_eq!(db.sql("SELECT count(*) FROM links WHERE expires_at > INSTANT(0)"), "0");
    assert_ne!(db.sql("SELECT history FROM instance"), before);
}

/// A promotion changes PostgreSQL's timeline. The stored row names the timeline on which the history began.
async fn a_promoted_server_begins_a_new_history_with_the_first_change(db: TestDb) {
    if db.engine == Engine::Sqlite {
        return;
    }
    let server = serve_process(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let seen = sync(&mut phone, &[put("one", "a", 0)])["revision"].clone();
    assert_eq!(db.sql("SELECT timeline = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) FROM instance"), "t");
    db.sql("UPDATE instance SET timeline = '00000000'");
    let changed = result(&mut phone, &put("one", "b", 1));
    assert_eq!(changed["status"], "applied");
    assert!(version(&changed) > 1 << 40, "{changed}");
    assert_eq!(known(&mut phone, &seen)["changes"]["restored"], true);
}
