//! Another process locks the SQLite file, and touches have to wait.

use diesel::{Connection as _, SqliteConnection, connection::SimpleConnection as _};
use serde_json::json;

use super::{Asked, MORE, Said, Storm, rounds, serves_again};
use crate::{
    process::{KIM, assert_unavailable, psql::Psql},
    support::{Engine, PASSWORD, Server, TestDb, add_user, eventually, on_both_engines},
};

fn another_process(db: &TestDb) -> SqliteConnection {
    let mut other = SqliteConnection::establish(&db.folder.join("test.sqlite3").display().to_string()).unwrap();
    other.batch_execute("PRAGMA busy_timeout = 30000").unwrap();
    other
}

#[test]
fn another_writer_blocks_no_reads_and_ends_no_session() {
    let db = TestDb::new(Engine::Sqlite);
    let storm = Storm::new(&db, 12);
    let server = Server::start(&db, &MORE);
    storm.during(&server.client(), |log| {
        for _ in 0..rounds(1, 10) {
            log.wait_for_changes(10);
            let mut other = another_process(&db);
            other.batch_execute("BEGIN IMMEDIATE").unwrap();
            let locked = log.now();
            log.wait_for_away(10);
            other.batch_execute("ROLLBACK").unwrap();
            let free = log.now();
            serves_again("a locked file", log, free);
            for entry in log.entries().iter().filter(|entry| entry.started > locked && entry.ended < free) {
                let read = matches!(entry.asked, Asked::Look | Asked::Data);
                assert!(!read || entry.said != Said::Away, "a read had to wait for a writer: {entry:?}");
            }
        }
        log.wait_for_changes(10);
    });
    storm.check("a locked file", &db, &server);
}

#[test]
fn an_exclusively_locked_file_is_served_after_the_unlock() {
    let db = TestDb::new(Engine::Sqlite);
    let storm = Storm::new(&db, 8);
    let mut other = another_process(&db);
    other.batch_execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE accounts SET name = name").unwrap();
    let server = Server::start(&db, &MORE);
    storm.during(&server.client(), |log| {
        log.wait_for_away(20);
        other.batch_execute("COMMIT").unwrap();
        drop(other);
        serves_again("a file that somebody had for himself", log, log.now());
        log.wait_for_changes(10);
    });
    storm.check("a file that somebody had for himself", &db, &server);
}

on_both_engines! {
    touches_that_cannot_be_written_wait_within_a_bound,
}

async fn touches_that_cannot_be_written_wait_within_a_bound(db: TestDb) {
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[("SESSILE_STATEMENT_TIMEOUT", "500ms")]);
    let mut client = server.client();
    client.log_in(KIM);
    db.sql("UPDATE sessions SET last_activity = INSTANT(-600)");
    let mut file = (db.engine == Engine::Sqlite).then(|| another_process(&db));
    let mut postgres = (db.engine == Engine::Postgres).then(|| Psql::open(&db));
    if let Some(other) = &mut file {
        other.batch_execute("BEGIN IMMEDIATE").unwrap();
    }
    if let Some(other) = &mut postgres {
        assert_eq!(other.ask("BEGIN; LOCK TABLE sessions IN SHARE MODE; SELECT 'locked'"), "locked");
    }
    let mut look = || assert_eq!(client.get("/api/session").status, 200, "reads still work");
    let refused = || server.log().matches("writing the activity of sessions").count();
    eventually("a flush that failed", async || {
        look();
        refused() >= 1
    })
    .await;
    assert!(!server.log().contains("waiting=2"), "one touch per session: {}", server.log());
    assert_unavailable(&server.client().try_log_in(KIM, PASSWORD));
    assert_eq!(count_old(&db), "1", "nothing was written while it was locked");
    drop((file, postgres));
    eventually("the touch", async || count_old(&db) == "0").await;
    assert_eq!(client.json("PATCH", "/api/session/data", &json!({"n": 1})).status, 200);
}

fn count_old(db: &TestDb) -> String {
    db.sql("SELECT count(*) AS c FROM sessions WHERE last_activity < INSTANT(-300)")
}
