//! Requests whose client disconnects.

use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{KIM, psql::Psql};
use crate::support::{Engine, PASSWORD, Server, TestDb, add_user, eventually, run};

/// The request is dropped in the middle of its transaction, while it waits for a lock.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_request_whose_client_is_gone_leaves_nothing_locked() {
    run(Engine::Postgres, async |db: TestDb| {
        add_user(&db, KIM, "owner");
        // The server's own limit on idle transactions is twice this, longer than the case waits.
        let server = Server::start(&db, &[("SESSILE_STATEMENT_TIMEOUT", "20s")]);
        let ours = |state: &str| {
            let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()";
            db.sql(&format!("{count} AND application_name = 'sessile' AND {state}"))
        };
        let mut other = Psql::open(&db);
        other.ask("BEGIN; SELECT id FROM accounts FOR UPDATE");
        let body = json!({"email": KIM, "password": PASSWORD}).to_string();
        let length = body.len();
        let head = format!(
            "POST /api/establish-session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let mut socket = TcpStream::connect(("127.0.0.1", server.port)).await.expect("a connection");
        socket.write_all(format!("{head}{body}").as_bytes()).await.expect("a request");
        eventually("a login that waits for the lock", async || ours("wait_event_type = 'Lock'") == "1").await;
        socket.set_zero_linger().expect("a reset");
        drop(socket);
        other.ask("ROLLBACK; SELECT 'released'");
        // The connection must close at once, not at its next use in the pool or at the server's limit.
        eventually("the end of the transaction", async || ours("state <> 'idle'") == "0").await;
        assert_eq!(server.client().try_log_in(KIM, PASSWORD).status, 200);
        assert!(!server.log().contains("unavailable"), "{}", server.log());
    });
}
