//! A node that does not confirm holds up two changes for half a second each. The first doubts its row, the second removes
//! it.

use std::time::{Duration, Instant};

use super::{KIM, has_lease};
use crate::support::{Client, Engine, Server, TestDb, add_user, eventually, on_both_engines_and_citus, run};

on_both_engines_and_citus! {
    a_node_that_stops_leaves_no_row,
    a_node_whose_row_was_removed_comes_back,
    the_row_of_a_node_that_does_not_confirm_is_first_doubted,
    an_end_is_answered_while_a_node_hangs,
    a_node_whose_row_was_removed_while_it_stood_still_comes_back,
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
fn a_node_that_was_killed_is_waited_for_at_least_twice() {
    run(Engine::Postgres, async |db: TestDb| {
        let (server, mut killed) = two_servers(&db).await;
        killed.kill();
        let mut client = server.client();
        client.log_in(KIM);
        // The login announced nothing, so nothing has waited yet.
        let ends = ends_until_one_row_is_left(&mut client, &db);
        assert!(ends >= 2, "the row was removed before it was doubted");
        let end = time_of_an_end(&mut client);
        assert!(end < Duration::from_millis(450), "{end:?}: nobody else has a row");
    });
}

/// Ends sessions until the row of the other node is gone, and returns how many. Two are enough if the rows are read soon
/// after each commit.
fn ends_until_one_row_is_left(client: &mut Client, db: &TestDb) -> u32 {
    for ends in 1..=5 {
        let end = time_of_an_end(client);
        assert!(end >= Duration::from_millis(450), "{end:?}: the other node could still have had a lease");
        client.log_in(KIM);
        if db.sql("SELECT count(*) FROM nodes") == "1" {
            return ends;
        }
    }
    panic!("the row of a silent node stays");
}

fn time_of_an_end(client: &mut Client) -> Duration {
    let began = Instant::now();
    assert_eq!(client.send("DELETE", "/api/session", &[], b"").status, 204);
    began.elapsed()
}

/// However old the row looks after the database's clock was set forward.
async fn the_row_of_a_node_that_does_not_confirm_is_first_doubted(db: TestDb) {
    let (server, stopped) = two_servers(&db).await;
    let mut client = server.client();
    client.log_in(KIM);
    signal(&stopped, "-STOP");
    db.sql("UPDATE nodes SET beaten_at = INSTANT(-3600)");
    assert!(time_of_an_end(&mut client) >= Duration::from_millis(450));
    assert_eq!(db.sql("SELECT count(*) FROM nodes WHERE doubt IS NOT NULL"), "1");
    signal(&stopped, "-CONT");
    eventually("the node adds its row again", async || db.sql("SELECT count(*) FROM nodes WHERE doubt IS NULL") == "2")
        .await;
    has_lease(&stopped).await;
}

/// Another node that hangs delays an end by its lease and no more.
async fn an_end_is_answered_while_a_node_hangs(db: TestDb) {
    let (server, hangs) = two_servers(&db).await;
    let mut client = server.client();
    let mut ends = Vec::new();
    for _ in 0..5 {
        client.log_in(KIM);
        signal(&hangs, "-STOP");
        ends.push(time_of_an_end(&mut client));
        signal(&hangs, "-CONT");
        has_lease(&hangs).await;
        eventually("the node's row", async || db.sql("SELECT count(*) FROM nodes WHERE doubt IS NULL") == "2").await;
    }
    println!("ends while another node hangs: {ends:?}");
    // Much more than it takes on an idle machine, and less than a second wait would take.
    assert!(ends.iter().min() < Some(&Duration::from_millis(950)), "{ends:?}");
}

async fn a_node_whose_row_was_removed_while_it_stood_still_comes_back(db: TestDb) {
    let (server, stopped) = two_servers(&db).await;
    let mut client = server.client();
    signal(&stopped, "-STOP");
    client.log_in(KIM);
    ends_until_one_row_is_left(&mut client, &db);
    signal(&stopped, "-CONT");
    eventually("the node adds its row again", async || db.sql("SELECT count(*) FROM nodes") == "2").await;
    has_lease(&stopped).await;
}

fn signal(server: &Server, signal: &str) {
    let sent = std::process::Command::new("kill").args([signal, &server.pid().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()));
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
