//! The database's clock was ahead and is corrected: stored times lie in the future.

use sessile::{
    base::db::Db,
    records::{
        hub::Hub,
        session::{EndReason, SessionRef, listing::Standing},
    },
};

use super::Node;
use crate::support::{Engine, TestDb, on_both_engines_and_citus, run};

on_both_engines_and_citus! {
    a_session_reported_expired_stays_ended,
    a_stream_told_of_expiry_has_an_ended_row,
    stored_times_in_the_future_become_now,
    a_session_from_the_future_keeps_its_length,
    a_confirmation_from_the_future_has_run_out,
}

async fn a_session_reported_expired_stays_ended(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    db.sql("UPDATE sessions SET last_activity = INSTANT(-259201), expires_at = INSTANT(-1)");
    assert_eq!(node.told(&key).await, "the session has ended: expired");
    put_back(&db);
    assert_eq!(node.told(&key).await, "the session has ended: expired");
    assert!(node.rotate(&key).await.is_none());
    let events = |kind: &str| db.sql(&format!("SELECT count(*) FROM audit WHERE kind = '{kind}'"));
    assert_eq!((events("session.expired"), events("session.used-after-end")), ("1".to_owned(), "0".to_owned()));
    assert_eq!(node.end(&key, EndReason::Revoked).await, 0);
}

async fn a_stream_told_of_expiry_has_an_ended_row(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    let session = SessionRef::new(&node.account_id, key.id());
    let hub = Hub::new(node.sessions.db.clone(), node.sessions.clock.clone(), 100);
    db.sql("UPDATE sessions SET last_activity = INSTANT(-259201), expires_at = INSTANT(-1)");
    assert!(matches!(hub.standing(&session).await.unwrap(), Some(Standing::Ended(_))));
    put_back(&db);
    assert!(matches!(hub.standing(&session).await.unwrap(), Some(Standing::Ended(_))));
    assert!(!node.is_live(&key).await);
}

/// After the clock is set back, the expiry lies in the future again.
fn put_back(db: &TestDb) {
    db.sql("UPDATE sessions SET last_activity = INSTANT(-1), expires_at = INSTANT(259199)");
}

async fn stored_times_in_the_future_become_now(db: TestDb) {
    let node = Node::new(&db).await;
    node.create().await;
    let ended = node.create().await;
    node.end(&ended, EndReason::Revoked).await;
    db.sql(
        "INSERT INTO throttle_counts (subject, failures, told, last_failed_at, changed_at, of_address) \
         SELECT secret_hash, 12, 12, INSTANT(86400), INSTANT(86400), TRUE FROM devices",
    );
    let columns = [
        ("accounts", vec!["created_at", "password_changed_at", "last_login_at", "disabled_at"]),
        ("devices", vec!["first_seen", "last_seen", "proved_at", "acknowledged_at", "sync_noted_at", "forgotten_at"]),
        ("sessions", vec!["created_at", "authenticated_at", "last_activity"]),
        ("throttle_counts", vec!["last_failed_at", "changed_at"]),
    ];
    for (table, columns) in &columns {
        let set: Vec<_> = columns.iter().map(|column| format!("{column} = INSTANT(86400)")).collect();
        db.sql(&format!("UPDATE {table} SET {}", set.join(", ")));
    }
    db.sql("UPDATE sessions SET ended_at = INSTANT(86400) WHERE ended_at IS NOT NULL");
    assert!(node.sessions.db.settle_future(async |_| Ok(())).await.unwrap() > 0);
    for (table, columns) in columns {
        for column in columns {
            let ahead = db.sql(&format!("SELECT count(*) FROM {table} WHERE {column} > INSTANT(0)"));
            let known = db.sql(&format!("SELECT count(*) FROM {table} WHERE {column} IS NOT NULL"));
            assert_eq!((ahead.as_str(), known == "0"), ("0", false), "{table}.{column}");
        }
    }
    assert_eq!(node.sessions.db.settle_future(async |_| Ok(())).await.unwrap(), 0, "the second call finds nothing");
}

async fn a_session_from_the_future_keeps_its_length(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    db.sql(
        "UPDATE sessions SET created_at = INSTANT(86400), authenticated_at = INSTANT(86400), last_activity = INSTANT(86400), \
         expires_at = INSTANT(345600), absolute_expires_at = INSTANT(2678400)",
    );
    node.sessions.db.settle_future(async |_| Ok(())).await.unwrap();
    let near = "expires_at BETWEEN INSTANT(259100) AND INSTANT(259200) AND \
                absolute_expires_at BETWEEN INSTANT(2591900) AND INSTANT(2592000)";
    assert_eq!(db.sql(&format!("SELECT count(*) FROM sessions WHERE {near}")), "1");
    assert!(node.is_live(&key).await);
}

async fn a_confirmation_from_the_future_has_run_out(db: TestDb) {
    let node = Node::new(&db).await;
    node.create().await;
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(86400)");
    node.sessions.db.settle_future(async |_| Ok(())).await.unwrap();
    // Otherwise the confirmation would count again once the clock reaches that time.
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE authenticated_at < INSTANT(-600)"), "1");
}

/// Times that `settle_future` leaves alone. The expiry times, and the time at which a mail is due, move together with other
/// columns. Events are chained, and their anchors only age. A node that takes the lease checks for a lease from the future.
const LEFT: &[&str] = &[
    "audit.at",
    "instance.anchoring_until",
    "links.expires_at",
    "mails.due_at",
    "sessions.absolute_expires_at",
    "sessions.expires_at",
    "trail_anchors.at",
];

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn every_stored_time_is_settled_or_named_here() {
    run(Engine::Postgres, async |db: TestDb| {
        let node = Node::new(&db).await;
        drop(node);
        let all = db.sql(
            "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' AND \
             data_type = 'timestamp with time zone' ORDER BY 1",
        );
        let settled: Vec<String> = Db::settled_columns();
        let missing: Vec<&str> =
            all.lines().filter(|column| !LEFT.contains(column) && !settled.iter().any(|one| one == column)).collect();
        assert!(missing.is_empty(), "settle these in db::set_back, or add them to LEFT with a reason: {missing:?}");
    });
}
