//! Expiry, the ends of sessions, and the sweep.

use std::rc::Rc;

use actix_session::storage::SessionStore;
use serde_json::json;
use sessile::{
    actions::session_data,
    base::error::Error,
    records::session::{EndReason, data::Patch, sweep},
};

use super::{Node, cookie, is_ended, request};
use crate::support::{TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    session_past_its_idle_time_is_gone_with_reason_expired,
    session_past_its_absolute_time_is_gone_despite_activity,
    revoked_session_stays_dead_when_a_request_was_under_way,
    ended_session_keeps_the_facts_of_its_first_end,
    use_after_end_is_recorded_once,
    delete_logs_out_once,
    sweep_ends_expired_and_deletes_old_sessions,
    two_sweepers_at_once_end_each_session_once,
}

async fn session_past_its_idle_time_is_gone_with_reason_expired(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    db.sql("UPDATE sessions SET last_activity = INSTANT(-259201), expires_at = INSTANT(-1)");
    assert!(node.load(&key).await.is_none());
    assert_eq!(node.told(&key).await, "the session has ended: expired");
    assert!(node.rotate(&key).await.is_none());
    assert_eq!(node.sessions.data(&node.account_id, key.id()).await.unwrap(), None);
    let patch = Patch::new(json!({})).unwrap();
    assert_eq!(session_data::patch(&node.sessions.db, node.acting(&key), patch).await.unwrap(), None);
}

async fn session_past_its_absolute_time_is_gone_despite_activity(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    // The session was used a moment ago, so the idle time alone would keep it alive.
    db.sql(
        "UPDATE sessions SET last_activity = INSTANT(-2), absolute_expires_at = INSTANT(-1), expires_at = INSTANT(-1)",
    );
    assert!(node.load(&key).await.is_none());
    assert_eq!(node.told(&key).await, "the session has ended: expired");
}

async fn revoked_session_stays_dead_when_a_request_was_under_way(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    let facts = request(&key);
    let under_way = async {
        let mut state = SessionStore::load(&node.sessions, &cookie(&key)).await.unwrap().unwrap();
        assert_eq!(node.end(&key, EndReason::Revoked).await, 1);
        state.insert("late".into(), "1".into());
        node.update(&key, state).await
    };
    assert!(Rc::clone(&facts).scope(under_way).await.is_err());
    let Some(Error::SessionEnded(because)) = facts.fault.take() else { panic!("an ended session") };
    assert_eq!(because.as_str(), "revoked");
    assert!(!node.is_live(&key).await);
    assert_eq!(db.sql("SELECT count(*) FROM sessions"), "1");
    assert_eq!(db.sql("SELECT version FROM sessions"), "1");
}

async fn ended_session_keeps_the_facts_of_its_first_end(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    assert_eq!(node.end(&key, EndReason::LoggedOut).await, 1);
    let kept = || db.sql("SELECT ended_reason || ' ' || ended_by FROM sessions WHERE ended_at > INSTANT(-60)");
    assert_eq!(kept(), format!("logged-out {}", node.account_id));
    assert_eq!(node.end(&key, EndReason::Revoked).await, 0);
    assert_eq!(kept(), format!("logged-out {}", node.account_id));
    assert_eq!(db.sql("SELECT kind FROM audit"), "logout");
    let facts = request(&key);
    Rc::clone(&facts).scope(SessionStore::load(&node.sessions, &cookie(&key))).await.unwrap();
    assert!(is_ended(&facts));
}

async fn use_after_end_is_recorded_once(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    node.end(&key, EndReason::Revoked).await;
    for _ in 0..3 {
        assert!(!node.is_live(&key).await);
    }
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind = 'session.used-after-end'"), "1");
    assert_eq!(db.sql("SELECT session_id FROM audit WHERE kind = 'session.used-after-end'"), key.id());
}

async fn delete_logs_out_once(db: TestDb) {
    let node = Node::new(&db).await;
    let (key, other) = (node.create().await, node.create().await);
    for _ in 0..2 {
        SessionStore::delete(&node.sessions, &cookie(&key)).await.unwrap();
    }
    assert_eq!(node.told(&key).await, "the session has ended: logged-out");
    assert!(node.is_live(&other).await);
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind = 'logout'"), "1");
}

async fn sweep_ends_expired_and_deletes_old_sessions(db: TestDb) {
    let node = Node::new(&db).await;
    let (live, expired, old, recent) =
        (node.create().await, node.create().await, node.create().await, node.create().await);
    db.sql(&format!("UPDATE sessions SET expires_at = INSTANT(-1) WHERE id = '{}'", expired.id()));
    node.end(&old, EndReason::LoggedOut).await;
    node.end(&recent, EndReason::LoggedOut).await;
    db.sql(&format!("UPDATE sessions SET ended_at = INSTANT(-2592060) WHERE id = '{}'", old.id()));
    db.sql(&format!("UPDATE sessions SET ended_at = INSTANT(-2591940) WHERE id = '{}'", recent.id()));
    let swept = sweep::sweep(&node.sessions.db).await.unwrap();
    assert_eq!((swept.ended, swept.deleted), (1, 1));
    assert!(node.is_live(&live).await);
    assert_eq!(node.told(&expired).await, "the session has ended: expired");
    assert_eq!(node.told(&old).await, "the session has ended: unknown");
    assert_eq!(node.told(&recent).await, "the session has ended: logged-out");
    let event = "SELECT session_id || ' ' || actor || ' ' || device_name FROM audit WHERE kind = 'session.expired'";
    assert_eq!(db.sql(event), format!("{} system Shop counter", expired.id()));
}

async fn two_sweepers_at_once_end_each_session_once(db: TestDb) {
    let node = Node::new(&db).await;
    for _ in 0..500 {
        node.create().await;
    }
    db.sql("UPDATE sessions SET expires_at = INSTANT(-1)");
    // A second node has its own connection pool.
    let second = db.sessions().await;
    let both = futures_util::future::join(sweep::sweep(&node.sessions.db), sweep::sweep(&second.db)).await;
    assert_eq!(both.0.unwrap().ended + both.1.unwrap().ended, 500);
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE ended_reason = 'expired'"), "500");
    assert_eq!(db.sql("SELECT count(DISTINCT session_id) FROM audit WHERE kind = 'session.expired'"), "500");
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind = 'session.expired'"), "500");
}
