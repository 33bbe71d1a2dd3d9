//! The SQLite file is replaced, moved or removed while a server has it open. The server reports that and answers
//! nothing from the old file, and a command acknowledges nothing that the server cannot see.

use std::path::PathBuf;

use serde_json::json;

use super::{KIM, ask, assert_unavailable};
use crate::support::{Client, Engine, PASSWORD, Server, TestDb, add_user, eventually};

/// A server with a SQLite file and a session.
fn served() -> (TestDb, PathBuf, Server, Client) {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[]);
    let mut client = server.client();
    client.log_in(KIM);
    let file = db.folder.join("test.sqlite3");
    (db, file, server, client)
}

fn assert_not_ready(client: &mut Client) {
    for _ in 0..3 {
        assert_unavailable(&client.get("/api/session"));
        assert_unavailable(&client.json("PATCH", "/api/session/data", &json!({"n": 1})));
    }
    actix_web::rt::System::new()
        .block_on(eventually("the server is not ready", async || client.get("/readyz").status == 503));
}

#[test]
fn a_copy_restored_under_a_running_server_is_detected() {
    let (db, file, server, mut client) = served();
    assert_eq!(client.json("PATCH", "/api/session/data", &json!({"kept": 1})).status, 200);
    let copy = db.folder.join("copy.sqlite3");
    db.sql(&format!("VACUUM INTO '{}'", copy.display()));
    assert_eq!(client.json("PATCH", "/api/session/data", &json!({"later": 1})).status, 200);
    std::fs::rename(&copy, &file).unwrap();

    ask(&db, &["session", "revoke", "--all"], "").refused(&["DATABASE_URL", "another file", "stop the server"]);
    ask(&db, &["serve"], "").refused(&["DATABASE_URL", "another file"]);
    let doctor = ask(&db, &["doctor"], "").stdout;
    assert!(doctor.contains("FAIL database: a server is running on another file"), "{doctor}");
    assert_not_ready(&mut client);
    assert!(server.log().contains("was replaced while it is open"), "{}", server.log());

    // The old file's write-ahead log is empty, so that the new file cannot pick up its content.
    assert_eq!(std::fs::metadata(db.folder.join("test.sqlite3-wal")).unwrap().len(), 0);
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(&db, &[]);
    let mut again = server.client();
    again.cookies = client.cookies.clone();
    assert_eq!(again.get("/api/session/data").json(), json!({"kept": 1}));
    assert_eq!(db.sql("SELECT integrity_check FROM pragma_integrity_check"), "ok");
}

#[test]
fn a_file_that_is_moved_away_and_back_is_used_again() {
    let (db, file, _server, mut client) = served();
    let away = db.folder.join("away.sqlite3");
    std::fs::rename(&file, &away).unwrap();
    assert_not_ready(&mut client);
    ask(&db, &["session", "revoke", "--all"], "").refused(&["server is running", "DATABASE_URL"]);
    assert!(!file.exists(), "the file must not be recreated");
    std::fs::rename(&away, &file).unwrap();
    assert_eq!(client.get("/api/session").status, 200);
    assert_eq!(client.json("PATCH", "/api/session/data", &json!({"n": 2})).status, 200);
    assert_eq!(ask(&db, &["session", "revoke", "--all"], "").said(), "ended 1\n");
    assert_eq!(client.get("/api/session").status, 401);
}

#[test]
fn a_removed_file_is_not_recreated_next_to_its_server() {
    let (db, file, mut server, mut client) = served();
    assert_eq!(client.get("/api/session").status, 200);
    std::fs::remove_file(&file).unwrap();
    let add = ["user", "add", "--email", "sam@example.com", "--role", "owner", "--password-stdin"];
    let commands: [&[&str]; 5] = [&["migrate"], &add, &["serve"], &["session", "revoke", "--all"], &["user", "list"]];
    for command in commands {
        ask(&db, command, PASSWORD).refused(&["server is running", "DATABASE_URL"]);
        assert!(!file.exists(), "{command:?}");
    }
    server.kill();
    // Content that is only in the write-ahead log would be lost with it.
    if std::fs::metadata(file.with_extension("sqlite3-wal")).is_ok_and(|log| log.len() > 0) {
        ask(&db, &["migrate"], "").refused(&["-wal", "put the file back"]);
    }
}

#[test]
fn a_command_detects_a_removed_wal_or_index() {
    for suffix in ["wal", "shm"] {
        let (db, file, _server, mut client) = served();
        assert_eq!(client.get("/api/session").status, 200);
        std::fs::remove_file(file.with_extension(format!("sqlite3-{suffix}"))).unwrap();
        ask(&db, &["session", "revoke", "--all"], "").refused(&["was removed or replaced", "stop the server"]);
    }
}

#[test]
fn a_removed_wal_is_detected() {
    let (db, _, server, mut client) = served();
    std::fs::remove_file(db.folder.join("test.sqlite3-wal")).unwrap();
    assert_not_ready(&mut client);
    assert!(server.log().contains("-wal was removed or replaced"), "{}", server.log());
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(&db, &[]);
    let mut again = server.client();
    again.cookies = client.cookies.clone();
    assert_eq!(again.get("/api/session").status, 200, "the content of the log is kept");
}

/// The path of the database may be a symlink to the file, or may lead through a symlinked folder.
#[test]
fn a_redirected_path_is_detected() {
    actix_web::rt::System::new().block_on(async {
        let mut db = TestDb::new(Engine::Sqlite);
        let (first, second, link) = (db.folder.join("first"), db.folder.join("second"), db.folder.join("data"));
        std::fs::create_dir(&first).unwrap();
        std::os::unix::fs::symlink(&first, &link).unwrap();
        db.lead_to(format!("sqlite://{}/it.sqlite3", link.display()));
        add_user(&db, KIM, "owner");
        let server = Server::start(&db, &[]);
        let mut client = server.client();
        client.log_in(KIM);
        std::fs::create_dir(&second).unwrap();
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&second, &link).unwrap();
        assert_unavailable(&client.get("/api/session"));
        std::fs::copy(first.join("it.sqlite3"), second.join("it.sqlite3")).unwrap();
        let refused = async || ask(&db, &["session", "revoke", "--all"], "").stderr.contains("another file");
        eventually("commands find the server", refused).await;
        assert_unavailable(&client.get("/api/session"));
    });
}
