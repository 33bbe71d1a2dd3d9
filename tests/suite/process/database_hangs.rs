//! The database hangs: every request ends in time, and all requests work again afterwards.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{KIM, ask, assert_unavailable, cluster::Cluster, psql::Psql};
use crate::support::{Client, Engine, PASSWORD, Server, TestDb, add_user, eventually, run};

const MORE: [(&str, &str); 3] =
    [("SESSILE_POOL_MAX", "2"), ("SESSILE_POOL_TIMEOUT", "1s"), ("SESSILE_STATEMENT_TIMEOUT", "1s")];
/// A wait for a connection, the time to open it, and one statement, all twice for a retried read, with a margin for a
/// busy machine.
const IN_TIME: Duration = Duration::from_secs(15);

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn requests_end_in_time_while_a_table_is_locked() {
    run(Engine::Postgres, async |db: TestDb| {
        add_user(&db, KIM, "owner");
        let server = Server::start(&db, &MORE);
        let mut clients: Vec<Client> = (0..12).map(|_| server.client()).collect();
        for client in &mut clients {
            client.log_in(KIM);
        }
        let mut other = Psql::open(&db);
        other.lock("sessions");
        let slowest = every_answer_is_unavailable(&mut clients);
        println!("12 requests at once on 2 connections to a locked table: the slowest took {slowest:?}");
        assert!(slowest < IN_TIME, "{slowest:?}");
        assert_eq!(server.client().get("/healthz").status, 200);
        drop(other);
        for client in &mut clients {
            eventually("an answer", async || client.get("/api/session").status == 200).await;
        }
        assert_eq!(clients[0].json("PATCH", "/api/session/data", &json!({"n": 1})).status, 200);
    });
}

/// A server that hangs cannot enforce its statement timeout, so our own deadline has to.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn requests_end_in_time_while_the_database_hangs() {
    actix_web::rt::System::new().block_on(async {
        let (cluster, db) = Cluster::start();
        add_user(&db, KIM, "owner");
        let server = Server::start(&db, &MORE);
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for client in &mut clients {
            client.log_in(KIM);
        }
        let frozen = cluster.freeze();
        for _ in 0..2 {
            let slowest = every_answer_is_unavailable(&mut clients);
            println!("8 requests at once to a database that stands still: the slowest took {slowest:?}");
            assert!(slowest < IN_TIME, "{slowest:?}");
        }
        drop(frozen);
        for client in &mut clients {
            eventually("an answer", async || client.get("/api/session").status == 200).await;
        }
    });
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_database_that_hangs_does_not_hold_up_the_end() {
    let db = TestDb::new(Engine::Postgres);
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &MORE);
    let mut client = server.client();
    client.log_in(KIM);
    db.sql("UPDATE sessions SET last_activity = INSTANT(-600)");
    let mut other = Psql::open(&db);
    assert_eq!(client.get("/api/session").status, 200, "queues a touch");
    other.lock("sessions");
    let started = Instant::now();
    assert_eq!(server.terminate(), Some(0));
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
}

/// It accepts connections and never answers.
#[test]
fn a_node_starts_while_its_database_hangs() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let db = TestDb::in_own_postgres(format!("postgres://kim:geheim@127.0.0.1:{port}/sessile"));
    let started = Instant::now();
    let server = Server::start(&db, &MORE);
    println!("a node beside a silent database came up after {:?}", started.elapsed());
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
    assert_eq!(server.client().get("/healthz").status, 200);
    assert_unavailable(&server.client().get("/login"));
    assert!(!server.log().contains("geheim"), "{}", server.log());
    ask(&db, &["user", "list"], "").refused(&["DATABASE_URL"]);
    let started = Instant::now();
    assert_eq!(server.terminate(), Some(0));
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
}

#[test]
fn another_writer_makes_writes_unavailable_not_reads() {
    run(Engine::Sqlite, async |db: TestDb| {
        use diesel::{Connection as _, connection::SimpleConnection as _};
        add_user(&db, KIM, "owner");
        let server = Server::start(&db, &MORE);
        let mut client = server.client();
        client.log_in(KIM);
        let file = db.folder.join("test.sqlite3");
        let mut other = diesel::SqliteConnection::establish(&file.display().to_string()).unwrap();
        other.batch_execute("PRAGMA busy_timeout = 30000; BEGIN IMMEDIATE").unwrap();
        let started = Instant::now();
        assert_unavailable(&client.json("PATCH", "/api/session/data", &json!({"n": 1})));
        assert_unavailable(&server.client().try_log_in(KIM, PASSWORD));
        assert_unavailable(&client.send("DELETE", "/api/session", &[], b""));
        assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
        assert_eq!(client.get("/api/session").status, 200, "reads do not wait for a writer");
        other.batch_execute("ROLLBACK").unwrap();
        let mut change = || client.json("PATCH", "/api/session/data", &json!({"n": 2})).status == 200;
        eventually("writing", async || change()).await;
    });
}

/// Checks the answers and returns the time of the slowest.
fn every_answer_is_unavailable(clients: &mut [Client]) -> Duration {
    std::thread::scope(|scope| {
        let asking: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(n, client)| {
                scope.spawn(move || {
                    let started = Instant::now();
                    assert_unavailable(&match n % 4 {
                        0 => client.get("/dashboard"),
                        1 => client.json("PATCH", "/api/session/data", &json!({"n": 1})),
                        2 => client.try_log_in(KIM, PASSWORD),
                        _ => client.get("/api/session"),
                    });
                    started.elapsed()
                })
            })
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).max().unwrap()
    })
}
