//! The upgrade on PostgreSQL while a node of the previous version still writes. It locks all tables before it reads the
//! first one. On SQLite the file has only one writer.

use sessile::base::{db::Db, error::Result};

use super::{Node, upgrade::MIGRATION};
use crate::{
    process::psql::Psql,
    support::{Engine, TestDb, eventually, run},
};

/// Changes that the previous version makes in one table without locking another, and the row that each must add to a
/// look-up table.
const WRITES: [(&str, &str); 3] = [
    (
        "INSERT INTO accounts SELECT (jsonb_populate_record(a, '{\"id\": \"acc_new\", \"email\": \"new\", \"email_key\": \"new\"}')).* \
         FROM accounts a RETURNING 'written'",
        "account_of_email WHERE email_key = 'new' AND account_id = 'acc_new'",
    ),
    (
        "UPDATE devices SET secret_hash = 'new' RETURNING 'written'",
        "account_of_device_secret WHERE secret_hash = 'new'",
    ),
    ("UPDATE sessions SET id = 'aiq_new' RETURNING 'written'", "account_of_session WHERE session_id = 'aiq_new'"),
];

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn an_upgrade_misses_no_row_of_a_node_that_still_writes() {
    for (write, row) in WRITES {
        run(Engine::Postgres, async |db: TestDb| {
            let (mut old, sessions) = old_node(&db).await;
            assert_eq!(old.ask(&format!("BEGIN; {write}")), "written");
            let upgrade = actix_web::rt::spawn(upgrade(sessions));
            waits(&db).await;
            assert_eq!(old.ask("COMMIT; SELECT 'committed'"), "committed");
            upgrade.await.unwrap().unwrap();
            assert_eq!(db.sql(&format!("SELECT count(*) FROM {row}")), "1", "{write}");
        });
    }
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn an_upgrade_beside_a_node_that_still_writes_does_not_deadlock() {
    run(Engine::Postgres, async |db: TestDb| {
        let (mut old, sessions) = old_node(&db).await;
        // In a deadlock the old node fails at once, and not whichever transaction waits for longer.
        old.ask("SET deadlock_timeout = '1ms'; SELECT 'set'");
        assert_eq!(old.ask("BEGIN; UPDATE devices SET name = 'new' RETURNING 'written'"), "written");
        let upgrade = actix_web::rt::spawn(upgrade(sessions));
        waits(&db).await;
        let written = old.ask("UPDATE sessions SET version = version + 1 RETURNING 'written'; COMMIT");
        assert_eq!(written, "written", "a deadlock");
        upgrade.await.unwrap().unwrap();
        assert_eq!(db.sql("SELECT count(*) FROM devices WHERE name = 'new'"), "1");
    });
}

/// A connection of a node of the previous version, and the database of a node that upgrades.
async fn old_node(db: &TestDb) -> (Psql, Db) {
    let node = Node::new(db).await;
    node.create().await;
    db.take_back(MIGRATION);
    (Psql::open(db), node.sessions.db)
}

async fn upgrade(db: Db) -> Result<()> {
    db.migrate().await
}

async fn waits(db: &TestDb) {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("an upgrade that waits for a lock", async || db.sql(waiting) == "1").await;
}
