//! An SQLite file that is replaced, moved or removed while a server has it open: the server says so and answers nothing from
//! the old one, and no command acknowledges what that server does not hear.

use std::path::PathBuf;

use serde_json::json;

use super::{KIM, ask, assert_unavailable};
use crate::support::{Client, Engine, Server, TestDb, add_user, eventually};

/// A server with a session on a file.
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
        .block_on(eventually("that it is not ready", async || client.get("/readyz").status == 503));
}

#[test]
fn a_restored_copy_under_a_running_server_is_noticed_by_both_sides() {
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
    assert!(server.log().contains("is another one than the one that is open"), "{}", server.log());

    // The log of the old file is empty, so that nothing of it is taken for the new one's.
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
    ask(&db, &["session", "revoke", "--all"], "").refused(&["a server is running", "put the file back", "DATABASE_URL"]);
    assert!(!file.exists(), "it is not made anew");
    std::fs::rename(&away, &file).unwrap();
    assert_eq!(client.get("/api/session").status, 200);
    assert_eq!(client.json("PATCH", "/api/session/data", &json!({"n": 2})).status, 200);
    assert_eq!(ask(&db, &["session", "revoke", "--all"], "").said(), "ended 1\n");
    assert_eq!(client.get("/api/session").status, 401);
}

#[test]
fn a_log_that_is_removed_is_noticed() {
    let (db, _, server, mut client) = served();
    std::fs::remove_file(db.folder.join("test.sqlite3-wal")).unwrap();
    assert_not_ready(&mut client);
    assert!(server.log().contains("-wal was removed or replaced"), "{}", server.log());
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(&db, &[]);
    let mut again = server.client();
    again.cookies = client.cookies.clone();
    assert_eq!(again.get("/api/session").status, 200, "what was in it is not lost");
}

/// The folder, and a link that leads to the file.
#[test]
fn a_path_that_leads_elsewhere_is_noticed_and_the_server_is_still_found() {
    actix_web::rt::System::new().block_on(async {
        let mut db = TestDb::new(Engine::Sqlite);
        let (first, second, link) = (db.folder.join("first"), db.folder.join("second"), db.folder.join("data"));
        std::fs::create_dir(&first).unwrap();
        std::os::unix::fs::symlink(&first, &link).unwrap();
        db.url = format!("sqlite://{}/it.sqlite3", link.display());
        add_user(&db, KIM, "owner");
        let server = Server::start(&db, &[]);
        let mut client = server.client();
        client.log_in(KIM);
        std::fs::create_dir(&second).unwrap();
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&second, &link).unwrap();
        assert_unavailable(&client.get("/api/session"));
        std::fs::copy(first.join("it.sqlite3"), second.join("it.sqlite3")).unwrap();
        ask(&db, &["session", "revoke", "--all"], "").refused(&["another file"]);
        assert_unavailable(&client.get("/api/session"));
    });
}

/// Nobody has asked the server anything since, so that it has not noticed by itself.
#[test]
fn a_command_acknowledges_nothing_while_a_file_of_the_log_is_gone() {
    for suffix in ["-wal", "-shm"] {
        let (db, _, server, mut client) = served();
        std::fs::remove_file(db.folder.join(format!("test.sqlite3{suffix}"))).unwrap();
        ask(&db, &["session", "revoke", "--all"], "").refused(&["a server is running", "-wal or -shm", "start it"]);
        assert_not_ready(&mut client);
        assert_eq!(server.terminate(), Some(0));
        let server = Server::start(&db, &[]);
        let mut again = server.client();
        again.cookies = client.cookies.clone();
        assert_eq!(again.get("/api/session").status, 200, "{suffix}: what was in it is not lost");
        assert_eq!(db.sql("SELECT integrity_check FROM pragma_integrity_check"), "ok");
        assert_eq!(ask(&db, &["session", "revoke", "--all"], "").said(), "ended 1\n");
        assert_eq!(again.get("/api/session").status, 401);
    }
}

/// It would be lost with the file, which the server does not read.
#[test]
fn no_file_is_made_while_a_server_runs_on_one_that_was_removed() {
    let (db, file, server, mut client) = served();
    std::fs::remove_file(&file).unwrap();
    let add = ["user", "add", "--email", "alex@example.com", "--role", "owner", "--password-stdin"];
    ask(&db, &add, "another tide pool limpet 77").refused(&["a server is running", "removed"]);
    ask(&db, &["migrate"], "").refused(&["a server is running", "removed"]);
    ask(&db, &["serve"], "").refused(&["a server is running", "removed"]);
    assert!(!file.exists());
    assert_not_ready(&mut client);
    drop(server);
}

#[test]
fn no_file_is_made_beside_the_log_of_another() {
    let (db, file, mut server, _) = served();
    server.kill();
    let away = db.folder.join("away.sqlite3");
    std::fs::rename(&file, &away).unwrap();
    for command in ["migrate", "serve"] {
        ask(&db, &[command], "").refused(&["DATABASE_URL", "-wal", "put the file back"]);
        assert!(!file.exists());
    }
    std::fs::rename(&away, &file).unwrap();
    assert_eq!(ask(&db, &["session", "revoke", "--all"], "").said(), "ended 1\n");
}

/// The folder itself, or a link to the file: at once, before the server can have looked.
#[test]
fn a_path_that_leads_elsewhere_is_noticed_at_once() {
    for through_link in [false, true] {
        let mut db = TestDb::new(Engine::Sqlite);
        let (folder, other, link) = (db.folder.join("first"), db.folder.join("other"), db.folder.join("link.sqlite3"));
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("it.sqlite3");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        db.url = format!("sqlite://{}", if through_link { &link } else { &file }.display());
        add_user(&db, KIM, "owner");
        let server = Server::start(&db, &[]);
        let mut client = server.client();
        client.log_in(KIM);
        let copy = db.folder.join("copy");
        std::fs::copy(&file, &copy).unwrap();
        if through_link {
            std::fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink(&copy, &link).unwrap();
        } else {
            std::fs::rename(&folder, &other).unwrap();
            std::fs::create_dir(&folder).unwrap();
            std::fs::rename(&copy, &file).unwrap();
        }
        ask(&db, &["session", "revoke", "--all"], "").refused(&["a server is running on another file"]);
        assert_unavailable(&client.get("/api/session"));
    }
}

#[test]
fn a_command_on_the_file_under_another_name_finds_the_server() {
    let (mut db, file, _server, mut client) = served();
    let renamed = db.folder.join("renamed.sqlite3");
    std::fs::rename(&file, &renamed).unwrap();
    let url = std::mem::replace(&mut db.url, format!("sqlite://{}", renamed.display()));
    ask(&db, &["session", "revoke", "--all"], "").refused(&["a server is running", "renamed"]);
    db.url = url;
    std::fs::rename(&renamed, &file).unwrap();
    assert_eq!(client.get("/api/session").status, 200);
    assert_eq!(ask(&db, &["session", "revoke", "--all"], "").said(), "ended 1\n");
}
