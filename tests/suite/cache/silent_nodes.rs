//! A node that is gone holds up the others' changes for half a second each, and only until its row is removed.

use std::time::Duration;

use super::{KIM, has_lease};
use crate::support::{Engine, Server, TestDb, add_user, eventually, on_both_engines, run};

on_both_engines! {
    a_node_that_stops_leaves_no_row,
    a_node_whose_row_was_removed_comes_back,
}

/// Two servers with a lease.
async fn two_servers(db: &TestDb) -> (Server, Server) {
    add_user(db, KIM, "owner");
    let servers = (Server::start(db, &[]), Server::start(db, &[]));
    has_lease(&servers.0).await;
    has_lease(&servers.1).await;
    servers
}

async fn a_node_that_stops_leaves_no_row(db: TestDb) {
    let (_stays, stops) = two_servers(&db).await;
    assert_eq!(db.sql("SELECT count(*) FROM nodes"), "2");
    assert_eq!(stops.interrupt(), Some(0));
    assert_eq!(db.sql("SELECT count(*) FROM nodes"), "1");
}

async fn a_node_whose_row_was_removed_comes_back(db: TestDb) {
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[]);
    has_lease(&server).await;
    for _ in 0..3 {
        db.sql("DELETE FROM nodes");
        eventually("the node adds its row again", async || db.sql("SELECT count(*) FROM nodes") == "1").await;
        has_lease(&server).await;
    }
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_node_that_was_killed_is_waited_for_until_it_counts_as_dead() {
    run(Engine::Postgres, async |db: TestDb| {
        let (server, mut killed) = two_servers(&db).await;
        killed.kill();
        let mut client = server.client();
        let mut end = || {
            client.log_in(KIM);
            let began = std::time::Instant::now();
            assert_eq!(client.send("DELETE", "/api/session", &[], b"").status, 204);
            began.elapsed()
        };
        assert!(end() >= Duration::from_millis(450), "the killed node could still have had a lease");
        db.sql("UPDATE nodes SET beaten_at = INSTANT(-11) WHERE beaten_at < INSTANT(-0.3)");
        end();
        assert_eq!(db.sql("SELECT count(*) FROM nodes"), "1");
    });
}

#[test]
fn the_row_of_a_killed_server_on_a_file_is_removed_at_once() {
    run(Engine::Sqlite, async |db: TestDb| {
        let (server, mut killed) = two_servers(&db).await;
        killed.kill();
        let mut client = server.client();
        client.log_in(KIM);
        assert_eq!(client.send("DELETE", "/api/session", &[], b"").status, 204);
        assert_eq!(db.sql("SELECT count(*) FROM nodes"), "1");
    });
}
