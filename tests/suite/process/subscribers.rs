//! `sessile subscribers export` next to a running server.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::KIM;
use crate::support::{Engine, Server, TestDb, add_user, on_both_engines, sessile};

on_both_engines! {
    every_account_is_exported_with_the_session_that_it_used_last,
    an_export_that_fails_leaves_the_file_that_was_there,
    an_export_replaces_a_file_and_nothing_else,
    all_accounts_and_sessions_are_listed_however_many_there_are,
}

fn export(db: &TestDb, args: &[&str]) -> std::process::Output {
    let all: Vec<&str> = ["subscribers", "export"].iter().chain(args).copied().collect();
    sessile(db, &all, "")
}

async fn every_account_is_exported_with_the_session_that_it_used_last(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let sam = add_user(&db, "sam@example.com", "member");
    let server = Server::start(&db, &[]);
    let ids: Vec<Value> = (0..3).map(|_| server.client().log_in(KIM).json()["session"]["id"].clone()).collect();
    let id = |n: usize| ids[n].as_str().unwrap();
    db.sql(&format!("UPDATE sessions SET last_activity = INSTANT(-50) WHERE id = '{}'", id(0)));
    db.sql(&format!("UPDATE sessions SET last_activity = INSTANT(-90) WHERE id = '{}'", id(1)));
    // The account's most recently used session has ended.
    assert!(sessile(&db, &["session", "revoke", id(2)], "").status.success());
    server.client().log_in("sam@example.com");
    assert!(sessile(&db, &["user", "disable", "sam@example.com"], "").status.success());

    let out = export(&db, &[]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let file = db.folder.join("subscribers.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let all: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let first = &all[0];
    assert_eq!(
        [&first["id"], &first["email"], &first["name"], &first["role"], &first["status"]],
        [&json!(kim), &json!(KIM), &json!("Kim Lee"), &json!("owner"), &json!("enabled")]
    );
    assert_eq!((&first["sessionId"], &first["sessions"]), (&ids[0], &json!(2)));
    for time in ["createdAt", "lastActivity"] {
        assert!(first[time].as_str().is_some_and(|at| at.ends_with('Z') && at.len() == 24), "{first}");
    }
    let second = &all[1];
    assert_eq!([&second["id"], &second["status"]], [&json!(sam), &json!("disabled")]);
    let none = [&second["sessionId"], &second["lastActivity"], &second["sessions"]];
    assert_eq!(none, [&Value::Null, &Value::Null, &json!(0)]);
    assert_eq!(all.as_array().unwrap().len(), 2);
    let names: Vec<&str> = first.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names.len(), 9, "{names:?}");
}

/// More accounts than one statement reads. Every second has a session.
async fn all_accounts_and_sessions_are_listed_however_many_there_are(db: TestDb) {
    add_user(&db, KIM, "owner");
    many_accounts(&db, MANY);
    let printed = |args: &[&str]| {
        let out = sessile(&db, args, "");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(printed(&["subscribers", "export"]), format!("wrote {} to subscribers.json\n", MANY + 1));
    let file = std::fs::read_to_string(db.folder.join("subscribers.json")).unwrap();
    let all: Vec<Value> = serde_json::from_str(&file).unwrap();
    let emails: BTreeSet<&str> = all.iter().map(|one| one["email"].as_str().unwrap()).collect();
    assert_eq!((all.len(), emails.len()), (MANY + 1, MANY + 1));
    let sessions: u64 = all.iter().map(|one| one["sessions"].as_u64().unwrap()).sum();
    assert_eq!(sessions, MANY as u64 / 2);

    let listed = printed(&["user", "list"]);
    let ids: BTreeSet<&str> = listed.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!((listed.lines().count(), ids.len()), (MANY + 1, MANY + 1));

    let listed = printed(&["session", "list"]);
    assert_eq!(listed.lines().count(), MANY / 2);
    let activity: Vec<&str> = listed.lines().map(|line| line.split("active ").nth(1).unwrap()).collect();
    assert!(activity.is_sorted_by(|newer, older| newer >= older), "newest activity first");
    let json: Vec<Value> = serde_json::from_str(&printed(&["session", "list", "--json"])).unwrap();
    assert_eq!(json.len(), MANY / 2);
}

const MANY: usize = 2_500;

/// Adds accounts, every second with a live session.
pub fn many_accounts(db: &TestDb, many: usize) {
    let numbers = db.engine.numbers(many);
    let (bytes, state, no) = match db.engine {
        Engine::Postgres => ("BYTEA", "'{}'", "false"),
        Engine::Sqlite => ("BLOB", "jsonb('{}')", "0"),
    };
    db.sql(&format!(
        "INSERT INTO accounts (id, email, email_key, name, role, password_hash, created_at, password_changed_at) \
         SELECT 'acc_' || i, 'n' || i || '@example.com', 'n' || i || '@example.com', 'N', 'member', 'none', INSTANT(0), \
         INSTANT(0) FROM {numbers}"
    ));
    db.sql(&format!(
        "INSERT INTO sessions (id, secret_hash, account_id, created_at, authenticated_at, last_activity, expires_at, \
         absolute_expires_at, browser, os, kind, installed, version, state, data) SELECT 'aiq_' || i, \
         CAST('hash' || i AS {bytes}), 'acc_' || i, INSTANT(-9000), INSTANT(-9000), INSTANT(-9000), INSTANT(9000), \
         INSTANT(9000), 'B', 'O', 'other', {no}, 1, {state}, '{{}}' FROM {numbers} WHERE i % 2 = 0"
    ));
    for last in 0..10 {
        db.sql(&format!("UPDATE sessions SET last_activity = INSTANT(-{last}) WHERE id LIKE '%{last}'"));
    }
}

async fn an_export_that_fails_leaves_the_file_that_was_there(db: TestDb) {
    add_user(&db, KIM, "owner");
    // A file cannot replace a folder.
    std::fs::create_dir(db.folder.join("taken")).unwrap();
    let out = export(&db, &["--out", "taken"]);
    assert_eq!(out.status.code(), Some(1));
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(words.contains("taken") && words.lines().count() == 1, "{words}");
    assert!(!export(&db, &["--out", "no/such/folder/x.json"]).status.success());
    std::fs::write(db.folder.join("kept.json"), "old").unwrap();
    assert!(export(&db, &["--out", "kept.json"]).status.success());
    assert!(std::fs::read_to_string(db.folder.join("kept.json")).unwrap().contains(KIM));
    let left: Vec<_> = std::fs::read_dir(&db.folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".subscribers"))
        .collect();
    assert_eq!(left, [""; 0], "nothing is left beside it");
}

async fn an_export_replaces_a_file_and_nothing_else(db: TestDb) {
    use std::os::unix::fs::{FileTypeExt as _, symlink};
    add_user(&db, KIM, "owner");
    let at = |name: &str| db.folder.join(name);
    assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    symlink("pipe", at("to-a-pipe")).unwrap();
    symlink("nowhere", at("to-nothing")).unwrap();
    for odd in ["pipe", "to-a-pipe", "to-nothing", "/dev/null", "."] {
        let out = export(&db, &["--out", odd]);
        let words = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!((out.status.code(), words.lines().count()), (Some(1), 1), "{odd}: {words}");
        assert!(words.contains(odd) && words.contains("--out"), "{words}");
    }
    assert!(std::fs::symlink_metadata(at("pipe")).unwrap().file_type().is_fifo());

    std::fs::write(at("real.json"), "old").unwrap();
    std::fs::set_permissions(at("real.json"), std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.json", at("link.json")).unwrap();
    assert!(export(&db, &["--out", "link.json"]).status.success());
    assert!(at("link.json").is_symlink());
    assert!(std::fs::read_to_string(at("real.json")).unwrap().contains(KIM));
    assert_eq!(std::fs::metadata(at("real.json")).unwrap().permissions().mode() & 0o777, 0o640);
}
