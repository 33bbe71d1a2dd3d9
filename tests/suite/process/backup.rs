//! Backup of a running instance and restore, as docs/operating.md describes them.

use std::path::Path;
use std::process::Command;

use super::{KIM, assert_ended};
use crate::support::{Client, Engine, Server, TestDb, add_user, sessile};

#[test]
#[ignore = "needs sqlite3: run ./scripts/test"]
fn a_running_sqlite_instance_is_backed_up_and_restored() {
    let (db, restored) = (TestDb::new(Engine::Sqlite), TestDb::new(Engine::Sqlite));
    a_restored_instance_knows_its_sessions(&db, &restored, || {
        let copy = restored.folder.join("test.sqlite3");
        let statement = format!("VACUUM INTO '{}'", copy.display());
        succeed(Command::new("sqlite3").arg(db.folder.join("test.sqlite3")).arg(statement));
    });
    let (db, restored) = (TestDb::new(Engine::Sqlite), TestDb::new(Engine::Sqlite));
    a_restored_instance_knows_its_sessions(&db, &restored, || {
        let copy = format!(".backup '{}'", restored.folder.join("test.sqlite3").display());
        succeed(Command::new("sqlite3").arg(db.folder.join("test.sqlite3")).arg(copy));
    });
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_running_postgres_instance_is_backed_up_and_restored() {
    let (db, restored) = (TestDb::new(Engine::Postgres), TestDb::new(Engine::Postgres));
    a_restored_instance_knows_its_sessions(&db, &restored, || {
        let dump = restored.folder.join("sessile.dump");
        succeed(Command::new("pg_dump").args(["--format=custom", "--no-owner", "--file"]).arg(&dump).arg(db.url()));
        let mut restore = Command::new("pg_restore");
        restore.args(["--no-owner", "--exit-on-error", "--single-transaction", "--dbname", restored.url()]);
        succeed(restore.arg(&dump));
    });
}

/// `back_up` copies the database of the running instance to `restored`.
fn a_restored_instance_knows_its_sessions(db: &TestDb, restored: &TestDb, back_up: impl Fn()) {
    add_user(db, KIM, "owner");
    let server = Server::start(db, &[]);
    let (mut before, mut after) = (server.client(), server.client());
    before.log_in(KIM);
    before.json("PATCH", "/api/session/data", &serde_json::json!({"kept": "yes"}));
    back_up();
    // As with `umask 077` in docs/operating.md.
    let copy = restored.folder.join("test.sqlite3");
    if copy.exists() {
        std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    std::fs::copy(db.key_file(), restored.key_file()).unwrap();
    after.log_in(KIM);
    drop(server);

    // Forgetting `sessile restored` signs nobody out, and doctor reports it.
    assert_doctor_asks(restored);
    let server = Server::start(restored, &[]);
    let (mut known, mut unknown) = (moved(&before, &server), moved(&after, &server));
    assert_eq!(known.get("/api/session").json()["user"]["email"], KIM);
    assert_eq!(known.get("/api/session/data").json()["kept"], "yes");
    assert_ended(&unknown.get("/api/session"), "unknown");
    assert_eq!(server.client().log_in(KIM).status, 200);
    drop(server);
    assert_doctor_asks(restored);

    let out = sessile(restored, &["restored"], "");
    assert_eq!(String::from_utf8_lossy(&out.stdout), "ended 2; clients begin anew\n", "{out:?}");
    let out = sessile(restored, &["doctor"], "");
    assert!(out.status.success(), "{out:?}");
    let server = Server::start(restored, &[]);
    assert_ended(&moved(&before, &server).get("/api/session"), "revoked");
    assert_eq!(server.client().log_in(KIM).status, 200);
    drop(server);
    assert!(sessile(restored, &["doctor"], "").status.success());
    assert!(Path::new(&restored.key_file()).exists());
}

fn assert_doctor_asks(db: &TestDb) {
    let out = sessile(db, &["doctor"], "");
    let told = String::from_utf8_lossy(&out.stdout);
    let line = told.lines().find(|line| line.starts_with("FAIL history:"));
    assert!(line.is_some_and(|line| line.contains("`sessile restored`")), "{told}");
    assert_eq!(out.status.code(), Some(1), "{told}");
}

/// The client, after the host name was moved to another machine.
fn moved(client: &Client, server: &Server) -> Client {
    let mut moved = server.client();
    moved.cookies.clone_from(&client.cookies);
    moved
}

fn succeed(command: &mut Command) {
    let out = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(out.status.success(), "{command:?}: {out:?}");
}
