//! Commands beside a server: what they end is gone when they return.

use super::{KIM, has_lease};
use crate::support::{Client, Server, TestDb, add_user, eventually, on_both_engines_and_citus, sessile};

on_both_engines_and_citus! {
    what_a_command_ended_is_gone_when_it_returns,
    the_end_of_all_sessions_is_heard_by_every_node_that_caches,
}

async fn what_a_command_ended_is_gone_when_it_returns(db: TestDb) {
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[]);
    has_lease(&server).await;
    for round in 0..10 {
        let mut clients: Vec<Client> = (0..2).map(|_| server.client()).collect();
        for client in &mut clients {
            client.log_in(KIM);
            for _ in 0..2 {
                assert_eq!(client.get("/api/session").status, 200);
            }
        }
        let id = clients[0].get("/api/session").json()["session"]["id"].as_str().unwrap().to_owned();
        let one = sessile(&db, &["session", "revoke", &id], "");
        assert!(one.status.success(), "{one:?}");
        assert_eq!(clients[0].get("/api/session").status, 401, "round {round}");
        assert_eq!(clients[1].get("/api/session").status, 200, "round {round}");
        let all = sessile(&db, &["session", "revoke", "--email", KIM], "");
        assert!(all.status.success(), "{all:?}");
        assert_eq!(clients[1].get("/api/session").status, 401, "round {round}");
    }
}

/// The rows of the sessions have not ended when the command returns, so only the announcement keeps memory from answering.
async fn the_end_of_all_sessions_is_heard_by_every_node_that_caches(db: TestDb) {
    add_user(&db, KIM, "owner");
    let nodes = [Server::start(&db, MANY), Server::start(&db, MANY)];
    for node in &nodes {
        has_lease(node).await;
    }
    for round in 0..2 {
        let mut clients: Vec<Client> = nodes.iter().map(|node| node.client()).collect();
        for client in &mut clients {
            client.log_in(KIM);
            for _ in 0..2 {
                assert_eq!(client.get("/api/session").status, 200);
            }
        }
        // So many that the command leaves the rows to the background.
        copy_session(&db, round, COPIES);
        let all = sessile(&db, &["session", "revoke", "--all"], "");
        assert!(all.status.success(), "{all:?}");
        assert_eq!(String::from_utf8_lossy(&all.stdout), format!("ended {}\n", COPIES + 2));
        for client in &mut clients {
            let answer = client.get("/api/session");
            assert_eq!((answer.status, answer.json()["reason"].as_str()), (401, Some("revoked")), "round {round}");
        }
    }
    let rows = || db.sql("SELECT count(*) FROM sessions WHERE ended_at IS NULL");
    eventually("the servers have ended all rows", async || rows() == "0").await;
    let events = db.sql("SELECT count(*) FROM audit WHERE kind = 'session.revoked' AND actor = 'operator'");
    assert_eq!(events, (2 * (COPIES + 2)).to_string(), "each session has its event");
}

const MANY: &[(&str, &str)] = &[("SESSILE_SESSIONS_PER_ACCOUNT", "0"), ("SESSILE_LOG", "warn")];
const COPIES: usize = 2_100;

/// Copies a live session of a generation, with other ids.
pub fn copy_session(db: &TestDb, generation: usize, copies: usize) {
    let columns = "secret_hash, account_id, device_id, created_at, authenticated_at, last_activity, expires_at, \
                   absolute_expires_at, browser, os, kind, installed, version, state, data, generation";
    db.sql(&format!(
        "INSERT INTO sessions (id, {columns}) SELECT 'aiq_{generation}_' || n.i, {columns} FROM {}, \
         (SELECT * FROM sessions WHERE ended_at IS NULL AND generation = {generation} LIMIT 1) AS one",
        db.engine.numbers(copies)
    ));
}
