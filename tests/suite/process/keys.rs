//! The key file. Without the right file the start is refused while sessions live, unless another process creates the file
//! meanwhile. A second key in the file takes over signing.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use actix_web::cookie::Cookie;
use diesel::{Connection as _, connection::SimpleConnection as _};
use sessile::base::keys::Keys;

use super::{KIM, ask, assert_ended, count, psql::Psql};
use crate::support::{Client, Engine, PASSWORD, Server, TestDb, add_user, on_both_engines};

on_both_engines! {
    a_missing_key_file_stops_the_start_while_sessions_live,
    another_key_stops_the_start_while_sessions_live,
    a_second_key_put_first_signs_and_the_old_one_still_verifies,
    serve_uses_a_key_file_that_appears_while_it_waits,
    a_command_uses_a_key_file_that_appears_while_it_waits,
}

async fn a_missing_key_file_stops_the_start_while_sessions_live(db: TestDb) {
    let client = signed_in_before_a_stop(&db);
    let key = std::fs::read_to_string(db.key_file()).unwrap();
    std::fs::remove_file(db.key_file()).unwrap();
    ask(&db, &["serve"], "").refused(&["SESSILE_KEY_FILE", "session revoke --all"]);
    assert!(!Path::new(&db.key_file()).exists(), "an unusable key file was left behind");
    assert_eq!(std::fs::read_dir(&db.folder).unwrap().filter(|entry| is_key(entry.as_ref().unwrap())).count(), 0);

    // After the right file is restored, everything works as before.
    std::fs::write(db.key_file(), key).unwrap();
    let server = Server::start(&db, &[]);
    assert_eq!(at(&server, &client).get("/api/session").status, 200);
    assert_eq!(server.terminate(), Some(0));

    std::fs::remove_file(db.key_file()).unwrap();
    ask(&db, &["session", "revoke", "--all"], "").refused(&["SESSILE_KEY_FILE", &db.key_file(), "/dev/urandom"]);
    assert!(!Path::new(&db.key_file()).exists(), "only the server creates a key file");
    // Follow the command in the message.
    let make = format!("umask 077; head -c 64 /dev/urandom | base64 -w0 > {}", db.key_file());
    assert!(std::process::Command::new("sh").args(["-c", &make]).status().unwrap().success());
    assert_eq!(ask(&db, &["session", "revoke", "--all"], "").said(), "ended 1\n");
    let server = Server::start(&db, &[]);
    assert_ended(&at(&server, &client).get("/api/session"), "unknown");
    at(&server, &client).log_in(KIM);
    assert!(Path::new(&db.key_file()).exists());
}

fn is_key(entry: &std::fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with("session")
}

async fn another_key_stops_the_start_while_sessions_live(db: TestDb) {
    let client = signed_in_before_a_stop(&db);
    let right = std::fs::read_to_string(db.key_file()).unwrap();
    let other = another_key(&db);
    std::fs::write(db.key_file(), &other).unwrap();
    ask(&db, &["serve"], "").refused(&["SESSILE_KEY_FILE", "session revoke --all"]);
    assert_eq!(std::fs::read_to_string(db.key_file()).unwrap(), other, "the file is never overwritten");
    std::fs::write(db.key_file(), &right).unwrap();
    let server = Server::start(&db, &[]);
    assert_eq!(at(&server, &client).get("/api/session").status, 200);
    assert_eq!(server.terminate(), Some(0));

    std::fs::write(db.key_file(), &other).unwrap();
    assert_eq!(ask(&db, &["session", "revoke", "--all"], "").said(), "ended 1\n");
    let server = Server::start(&db, &[]);
    assert_ended(&at(&server, &client).get("/api/session"), "unknown");
    server.client().log_in(KIM);
    assert_eq!(server.terminate(), Some(0));
    std::fs::write(db.key_file(), &right).unwrap();
    ask(&db, &["serve"], "").refused(&["SESSILE_KEY_FILE"]);
}

#[test]
fn a_file_of_something_else_than_keys_stops_the_start() {
    let db = TestDb::new(Engine::Sqlite);
    for wrong in ["not a key\n", "", "\n"] {
        std::fs::write(db.key_file(), wrong).unwrap();
        ask(&db, &["serve"], "").refused(&["SESSILE_KEY_FILE", &db.key_file()]);
        assert_eq!(std::fs::read_to_string(db.key_file()).unwrap(), wrong, "the file is never overwritten");
    }
}

async fn a_second_key_put_first_signs_and_the_old_one_still_verifies(db: TestDb) {
    let mut old = signed_in_before_a_stop(&db);
    let first = std::fs::read_to_string(db.key_file()).unwrap();
    let second = another_key(&db);
    std::fs::write(db.key_file(), format!("{second}{first}")).unwrap();
    let server = Server::start(&db, &[]);
    old = at(&server, &old);
    assert_eq!(old.get("/api/session").status, 200, "an old cookie is still good");
    let mut new = server.client();
    new.log_in(KIM);
    assert!(is_signed_by(&db, &second, &new) && !is_signed_by(&db, &first, &new));
    assert!(is_signed_by(&db, &first, &old));
    // A touch renews the cookie and signs it with the first key.
    db.sql("UPDATE sessions SET last_activity = INSTANT(-600)");
    assert!(old.get("/api/session").sets("aiq_session").is_some());
    assert!(is_signed_by(&db, &second, &old));
    assert_eq!(server.terminate(), Some(0));

    // Now the old key can be removed.
    std::fs::write(db.key_file(), &second).unwrap();
    let server = Server::start(&db, &[]);
    for client in [&old, &new] {
        assert_eq!(at(&server, client).get("/api/session").status, 200);
    }
    assert_eq!(at(&server, &new).try_log_in(KIM, PASSWORD).status, 200);
}

async fn serve_uses_a_key_file_that_appears_while_it_waits(db: TestDb) {
    let client = signed_in_before_a_stop(&db);
    let server = key_file_appears_during(&db, || Server::start(&db, &[]));
    assert_eq!(at(&server, &client).get("/api/session").status, 200);
    assert_eq!(server.terminate(), Some(0));
}

async fn a_command_uses_a_key_file_that_appears_while_it_waits(db: TestDb) {
    signed_in_before_a_stop(&db);
    let add = ["user", "add", "--email", "sam@example.com", "--role", "owner", "--password-stdin"];
    let added = key_file_appears_during(&db, || ask(&db, &add, PASSWORD));
    assert_eq!((added.code, added.stderr.as_str()), (Some(0), ""), "{added:?}");
}

/// Runs the program without its key file and restores the file while the program waits to migrate, as if another process
/// had created the file.
fn key_file_appears_during<T: Send>(db: &TestDb, run: impl FnOnce() -> T + Send) -> T {
    let aside = db.folder.join("aside");
    std::fs::rename(db.key_file(), &aside).unwrap();
    let lock = lock_migrations(db);
    std::thread::scope(|threads| {
        let running = threads.spawn(run);
        wait_for_a_migration(db);
        std::fs::rename(&aside, db.key_file()).unwrap();
        drop(lock);
        running.join().unwrap()
    })
}

/// Takes what excludes other processes from migrations, until the result is dropped: on PostgreSQL the advisory lock, on
/// SQLite the write lock.
fn lock_migrations(db: &TestDb) -> Box<dyn Any> {
    match db.engine {
        Engine::Postgres => {
            let mut psql = Psql::open(db);
            assert_eq!(psql.ask("SELECT pg_advisory_lock(x'73657373696c65'::bigint) IS NOT NULL"), "t");
            Box::new(psql)
        }
        Engine::Sqlite => {
            let mut conn = diesel::SqliteConnection::establish(&db.file().display().to_string()).unwrap();
            conn.batch_execute("BEGIN IMMEDIATE").unwrap();
            Box::new(conn)
        }
    }
}

/// Waits for a process that has looked for the key file and migrates.
fn wait_for_a_migration(db: &TestDb) {
    let waiting = "datname = current_database() AND wait_event = 'advisory'";
    let is_waiting = || match db.engine {
        Engine::Postgres => count(db, &format!("pg_stat_activity WHERE {waiting}")) == 1,
        Engine::Sqlite => is_open_elsewhere(&db.file()),
    };
    let until = Instant::now() + Duration::from_secs(30);
    while !is_waiting() {
        assert!(Instant::now() < until, "no process waits");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process of the program has opened this file. A process that has not yet become the program still has the
/// files of this one.
fn is_open_elsewhere(file: &Path) -> bool {
    let leads_to = |link: PathBuf, path: &Path| std::fs::read_link(link).is_ok_and(|target| target == path);
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let mut programs =
        processes.filter(|process| leads_to(process.join("exe"), Path::new(env!("CARGO_BIN_EXE_sessile"))));
    programs.any(|process| {
        let Ok(open) = std::fs::read_dir(process.join("fd")) else { return false };
        open.filter_map(Result::ok).any(|one| leads_to(one.path(), file))
    })
}

/// A client that signed in before its server stopped.
fn signed_in_before_a_stop(db: &TestDb) -> Client {
    add_user(db, KIM, "owner");
    let server = Server::start(db, &[]);
    let mut client = server.client();
    client.log_in(KIM);
    assert_eq!(server.terminate(), Some(0));
    client
}

/// The client, moved to a server on another port.
fn at(server: &Server, client: &Client) -> Client {
    let mut again = server.client();
    again.cookies = client.cookies.clone();
    again
}

/// A new key line, made by the program itself.
fn another_key(db: &TestDb) -> String {
    let file = db.folder.join("another");
    Keys::read_or_make(&file).unwrap();
    let line = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    line
}

fn is_signed_by(db: &TestDb, key: &str, client: &Client) -> bool {
    let file = db.folder.join("judge");
    std::fs::write(&file, key).unwrap();
    let cookie = format!("aiq_session={}", client.cookies["aiq_session"]);
    let cookie = Cookie::parse_encoded(cookie).expect("a cookie").into_owned();
    let verified = Keys::read_or_make(&file).unwrap().verify_cookie(&cookie).is_some();
    std::fs::remove_file(&file).unwrap();
    verified
}
