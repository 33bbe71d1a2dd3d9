//! Stored times in the future are looked for in portions of a table, however many rows it has.

use super::Node;
use crate::{
    centre::query_plans::check,
    support::{
        Engine, TestDb, on_both_engines,
        statements::{ran_alone, seen},
    },
};

on_both_engines! {
    every_portion_of_a_large_table_is_settled,
    no_portion_is_found_by_reading_the_others,
}

const MANY: usize = 12_000;

/// Adds accounts whose times lie in the future.
fn seed(db: &TestDb) {
    db.sql(&format!(
        "INSERT INTO accounts (id, email, email_key, name, role, password_hash, created_at, password_changed_at) SELECT \
         'acc_' || i, 'n' || i || '@example.com', 'n' || i || '@example.com', 'N', 'member', 'none', INSTANT(86400), \
         INSTANT(0) FROM {}",
        db.engine.numbers(MANY)
    ));
}

async fn every_portion_of_a_large_table_is_settled(db: TestDb) {
    let node = Node::new(&db).await;
    node.create().await;
    db.sql("UPDATE sessions SET last_activity = INSTANT(86400)");
    seed(&db);
    let mut changed = Vec::new();
    let then = async |some: usize| {
        changed.extend((some > 0).then_some(some));
        Ok(())
    };
    let settled = node.sessions.db.settle_future(then).await.unwrap();
    assert_eq!(settled, MANY + 1);
    assert_eq!(db.sql("SELECT count(*) FROM accounts WHERE created_at > INSTANT(0)"), "0");
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE last_activity > INSTANT(0)"), "0");
    assert_eq!(changed, [1, 5_000, 5_000, 2_000], "the session comes before the accounts, which come in portions");
}

async fn no_portion_is_found_by_reading_the_others(db: TestDb) {
    let engine = if db.engine == Engine::Postgres { "postgres" } else { "sqlite" };
    if ran_alone(module_path!(), &format!("{engine}::no_portion_is_found_by_reading_the_others")) {
        return;
    }
    let node = Node::new(&db).await;
    seed(&db);
    if db.engine == Engine::Postgres {
        db.sql("VACUUM ANALYZE");
    }
    seen();
    node.sessions.db.settle_future(async |_| Ok(())).await.unwrap();
    let settling: Vec<String> = seen().into_iter().filter(|one| one.contains("accounts")).collect();
    let columns = if db.engine == Engine::Postgres { ["(id)::text", "id"] } else { ["id", "id"] };
    check(&db, &settling, 3, &columns);
}
