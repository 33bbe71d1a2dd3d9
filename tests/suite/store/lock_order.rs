//! Transactions that change the same device lock the device before its secret, so none of them waits for another that
//! waits for it. Only PostgreSQL locks rows.

use sessile::{
    base::{db::Conn, error::Result, secret::Secret},
    records::device::{
        self, Client, Reported, SignIn,
        known::{self, Rest},
    },
};

use super::Node;
use crate::{
    process::psql::Psql,
    support::{Engine, TestDb, eventually, run},
};

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_sign_in_beside_the_sweep_of_its_device_does_not_deadlock() {
    run(Engine::Postgres, async |db: TestDb| beside_the_sweep(&db, sign_in).await);
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn forgetting_a_device_beside_its_sweep_does_not_deadlock() {
    run(Engine::Postgres, async |db: TestDb| beside_the_sweep(&db, forget).await);
}

/// Makes a change of a device while a sweep has locked the device and not yet its secret.
async fn beside_the_sweep<Change: Future<Output = Result<()>> + 'static>(db: &TestDb, change: fn(Node) -> Change) {
    let node = Node::new(db).await;
    let mut sweep = Psql::open(db);
    // In a deadlock the sweep fails at once, and not whichever transaction waits for longer.
    sweep.ask("SET deadlock_timeout = '1ms'; SELECT 'set'");
    let locked = sweep.ask(&format!("BEGIN; SELECT id FROM devices WHERE id = '{}' FOR UPDATE", node.device_id));
    assert_eq!(locked, node.device_id);
    let changed = actix_web::rt::spawn(change(node));
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("a change that waits for the device", async || db.sql(waiting) == "1").await;
    let swept = sweep.ask("DELETE FROM account_of_device_secret RETURNING 'swept'; COMMIT");
    assert_eq!(swept, "swept", "a deadlock");
    changed.await.unwrap().unwrap();
}

async fn sign_in(node: Node) -> Result<()> {
    let (account_id, known) = (node.account_id, Some(node.device_id));
    let browser = SignIn {
        presented: Vec::new(),
        next: Secret::random_short()?,
        known,
        secrets: node.sessions.keys.devices().clone(),
    };
    let recognize = async move |conn: &mut Conn<'_>| {
        let says = Reported { client: Client::from_user_agent(""), installed: None, name: None };
        device::recognize(conn, &account_id, browser, says).await.map(drop)
    };
    node.sessions.db.write(recognize).await
}

async fn forget(node: Node) -> Result<()> {
    let (account_id, device_id) = (node.account_id, node.device_id);
    let forget = async move |conn: &mut Conn<'_>| known::forget(conn, &account_id, &device_id, Rest::Nothing).await;
    node.sessions.db.write(forget).await
}
