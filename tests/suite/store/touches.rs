//! Touches: when activity is written, and the limits of what a touch can change.

use actix_session::storage::SessionStore;
use actix_web::cookie::time::Duration as CookieDuration;
use sessile::{
    base::db::TouchRow,
    records::session::{
        EndReason, Record,
        lookup::Found,
        touch::{self, Due},
    },
};

use super::{Node, cookie};
use crate::support::{
    Engine, TestDb, on_both_engines_and_citus,
    statements::{all_seen, ran_alone},
};

on_both_engines_and_citus! {
    touch_is_due_once_an_interval,
    queued_touch_is_shown_at_once_and_written_by_the_flush,
    touch_near_the_end_is_due_now,
    touch_that_a_flush_might_miss_is_due_now,
    touch_never_passes_the_absolute_end,
    touch_moves_only_forward,
    touch_never_revives,
    many_touches_are_flushed_together,
    a_hundred_thousand_sessions_in_a_minute_take_at_most_two_hundred_statements,
    update_ttl_extends,
}

async fn record(node: &Node, key: &sessile::records::session::SessionKey) -> (Record, sessile::base::db::Instant) {
    match node.sessions.find(key).await.unwrap() {
        Found::Live(loaded) => (loaded.record, loaded.now),
        other => panic!("{other:?}"),
    }
}

async fn due(node: &Node, key: &sessile::records::session::SessionKey) -> Due {
    let (record, now) = record(node, key).await;
    touch::due(&record, now, Some("198.51.100.7"), node.sessions.times)
}

async fn touch_is_due_once_an_interval(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    assert_eq!(due(&node, &key).await, Due::No);
    db.sql("UPDATE sessions SET last_activity = INSTANT(-61)");
    let Due::Queue(row) = due(&node, &key).await else { panic!("a touch to queue") };
    node.sessions.touches.push(row);
    assert_eq!(due(&node, &key).await, Due::No);
}

async fn queued_touch_is_shown_at_once_and_written_by_the_flush(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    db.sql("UPDATE sessions SET last_activity = INSTANT(-3600), expires_at = INSTANT(255600)");
    let before = db.sql("SELECT last_activity FROM sessions");
    let Due::Queue(row) = due(&node, &key).await else { panic!("a touch to queue") };
    node.sessions.touches.push(row.clone());
    assert_eq!(db.sql("SELECT last_activity FROM sessions"), before);
    let (shown, now) = record(&node, &key).await;
    assert_eq!(
        (shown.last_activity, shown.expires_at, shown.ip.as_deref()),
        (row.at, row.expires_at, Some("198.51.100.7"))
    );
    assert_eq!(node.sessions.touches.flush(&node.sessions.db).await.unwrap(), 1);
    assert!(node.sessions.touches.is_empty());
    assert_eq!(record(&node, &key).await.0, shown);
    assert!(now.since(row.at).as_secs() < 60);
    assert_eq!(
        db.sql("SELECT ip FROM sessions WHERE last_activity > INSTANT(-60) AND expires_at > INSTANT(259100)"),
        "198.51.100.7"
    );
}

async fn touch_near_the_end_is_due_now(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    db.sql("UPDATE sessions SET last_activity = INSTANT(-259100), expires_at = INSTANT(100)");
    let Due::Now(row) = due(&node, &key).await else { panic!("a touch to write") };
    assert!(node.sessions.touch_now(row).await.unwrap());
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE expires_at > INSTANT(259100)"), "1");
}

async fn touch_that_a_flush_might_miss_is_due_now(db: TestDb) {
    let mut node = Node::new(&db).await;
    node.sessions.times.touch_interval = std::time::Duration::from_millis(100);
    let key = node.create().await;
    db.sql("UPDATE sessions SET last_activity = INSTANT(-60), expires_at = INSTANT(1.5)");
    let soon = due(&node, &key).await;
    assert!(matches!(soon, Due::Now(_)), "{soon:?}");
}

async fn touch_never_passes_the_absolute_end(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    db.sql("UPDATE sessions SET last_activity = INSTANT(-100), expires_at = INSTANT(1000), absolute_expires_at = INSTANT(1000)");
    let Due::Queue(row) = due(&node, &key).await else { panic!("a touch to queue") };
    node.sessions.touches.push(row);
    node.sessions.touches.flush(&node.sessions.db).await.unwrap();
    let (record, _) = record(&node, &key).await;
    assert_eq!(record.expires_at, record.absolute_expires_at);
}

async fn touch_moves_only_forward(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    let (before, now) = record(&node, &key).await;
    let day = std::time::Duration::from_secs(86_400);
    let late = TouchRow {
        account_id: node.account_id.clone(),
        id: key.id().into(),
        at: now.minus(day),
        expires_at: now.plus(day),
        ip: None,
    };
    assert!(!node.sessions.touch_now(late).await.unwrap());
    assert_eq!(record(&node, &key).await.0, before);
}

async fn touch_never_revives(db: TestDb) {
    let node = Node::new(&db).await;
    let (ended, expired) = (node.create().await, node.create().await);
    let (_, now) = record(&node, &ended).await;
    let row = |id: &str| TouchRow {
        account_id: node.account_id.clone(),
        id: id.into(),
        at: now.plus(std::time::Duration::from_secs(1)),
        expires_at: now.plus(std::time::Duration::from_secs(3600)),
        ip: None,
    };
    node.end(&ended, EndReason::Revoked).await;
    db.sql(&format!("UPDATE sessions SET expires_at = INSTANT(-1) WHERE id = '{}'", expired.id()));
    for key in [&ended, &expired] {
        assert!(!node.sessions.touch_now(row(key.id())).await.unwrap());
        node.sessions.touches.push(row(key.id()));
    }
    node.sessions.touches.flush(&node.sessions.db).await.unwrap();
    assert!(!node.is_live(&ended).await && !node.is_live(&expired).await);
}

async fn many_touches_are_flushed_together(db: TestDb) {
    let node = Node::new(&db).await;
    for _ in 0..600 {
        let key = node.create().await;
        let (_, now) = record(&node, &key).await;
        let at = now.plus(std::time::Duration::from_millis(5));
        let expires_at = at.plus(std::time::Duration::from_secs(3600));
        node.sessions.touches.push(TouchRow {
            account_id: node.account_id.clone(),
            id: key.id().into(),
            at,
            expires_at,
            ip: Some("2001:db8::1".into()),
        });
    }
    assert_eq!(node.sessions.touches.flush(&node.sessions.db).await.unwrap(), 600);
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE ip = '2001:db8::1'"), "600");
}

async fn a_hundred_thousand_sessions_in_a_minute_take_at_most_two_hundred_statements(db: TestDb) {
    let engine = if db.engine == Engine::Postgres { "postgres" } else { "sqlite" };
    let case = "a_hundred_thousand_sessions_in_a_minute_take_at_most_two_hundred_statements";
    if ran_alone(module_path!(), &format!("{engine}::{case}")) {
        return;
    }
    let node = Node::new(&db).await;
    let key = node.create().await;
    let (_, now) = record(&node, &key).await;
    // The statements do not depend on whether the sessions have rows.
    let row = |n: usize| TouchRow {
        account_id: format!("acc_{}", n % 1000),
        id: format!("aiq_{n}"),
        at: now,
        expires_at: now.plus(std::time::Duration::from_secs(3600)),
        ip: None,
    };
    let flushes = usize::try_from(60_000 / touch::FLUSH_INTERVAL.as_millis()).unwrap();
    for sizes in [vec![100_000], vec![100_000 / flushes; flushes]] {
        all_seen();
        for (first, size) in sizes.iter().scan(0, |at, size| Some((std::mem::replace(at, *at + size), *size))) {
            (first..first + size).for_each(|n| node.sessions.touches.push(row(n)));
            assert_eq!(node.sessions.touches.flush(&node.sessions.db).await.unwrap(), size);
        }
        let statements = all_seen().iter().filter(|one| one.contains("UPDATE sessions")).count();
        assert!((1..=200).contains(&statements), "{statements} statements for {} flushes", sizes.len());
    }
}

async fn update_ttl_extends(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    db.sql("UPDATE sessions SET last_activity = INSTANT(-3600), expires_at = INSTANT(255600)");
    SessionStore::update_ttl(&node.sessions, &cookie(&key), &CookieDuration::hours(72)).await.unwrap();
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE expires_at > INSTANT(259100)"), "1");
}
