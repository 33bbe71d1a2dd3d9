//! Races. In any order, an ended session stays ended and a session that was used in time stays live.

use std::sync::Arc;

use sessile::{
    actions::revoke,
    base::db::{Conn, TouchRow},
    records::{
        account,
        session::{EndReason, SessionKey, statements, sweep},
    },
};

use super::Node;
use crate::support::{TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    touch_racing_an_end_never_revives,
    sweep_racing_touches_ends_only_untouched_sessions,
    rotation_racing_an_end_stays_consistent,
    revocation_by_id_ends_a_session_that_rotates_meanwhile,
}

const ROUNDS: usize = 1000;
const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

async fn touch_racing_an_end_never_revives(db: TestDb) {
    let node = Node::new(&db).await;
    for round in 0..200 {
        let key = node.create().await;
        let now = node.sessions.clock.now();
        let row = TouchRow {
            account_id: node.account_id.clone(),
            id: key.id().into(),
            at: now.plus(HOUR),
            expires_at: now.plus(HOUR * 2),
            ip: None,
        };
        let touch = node.sessions.touch_now(row);
        let end = node.end(&key, EndReason::Revoked);
        let ended = if round % 2 == 0 {
            futures_util::future::join(touch, end).await.1
        } else {
            futures_util::future::join(end, touch).await.0
        };
        assert_eq!(ended, 1);
        assert!(!node.is_live(&key).await);
    }
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE ended_at IS NULL"), "0");
}

/// A thousand sessions expire within a second. Meanwhile each is touched once and two sweepers run. A touch that
/// reported success has saved its session; otherwise the sweep has ended the session for good.
async fn sweep_racing_touches_ends_only_untouched_sessions(db: TestDb) {
    let node = Arc::new(Node::new(&db).await);
    let mut keys = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        keys.push(node.create().await);
    }
    let ids: Vec<String> = keys.iter().map(|key| key.id().to_owned()).collect();
    let mut aging = String::new();
    for (n, id) in ids.iter().enumerate() {
        aging += &format!(
            "UPDATE sessions SET last_activity = INSTANT(-100), expires_at = INSTANT(0.{n:03}) WHERE id = '{id}';"
        );
    }
    db.sql(&format!("BEGIN; {aging} COMMIT;"));
    let touched = {
        let node = Arc::clone(&node);
        let ids = ids.clone();
        async move {
            let mut moved = Vec::with_capacity(ROUNDS);
            for id in ids {
                let now = node.sessions.clock.now();
                let row =
                    TouchRow { account_id: node.account_id.clone(), id, at: now, expires_at: now.plus(HOUR), ip: None };
                moved.push(node.sessions.touch_now(row).await.unwrap());
            }
            moved
        }
    };
    let second = db.sessions().await;
    let sweeping = async |db: &sessile::base::db::Db| {
        for _ in 0..100 {
            sweep::sweep(db).await.unwrap();
        }
    };
    let (moved, (), ()) = futures_util::future::join3(touched, sweeping(&node.sessions.db), sweeping(&second.db)).await;
    // Move the remaining expiry times into the past, so that a last sweep ends those sessions too.
    db.sql("UPDATE sessions SET expires_at = INSTANT(-1) WHERE ended_at IS NULL AND expires_at < INSTANT(10)");
    sweep::sweep(&node.sessions.db).await.unwrap();
    for (key, moved) in keys.iter().zip(&moved) {
        assert_eq!(node.is_live(key).await, *moved, "{}", key.id());
    }
    let saved = moved.iter().filter(|moved| **moved).count();
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE ended_at IS NULL"), saved.to_string());
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind = 'session.expired'"), (ROUNDS - saved).to_string());
}

async fn rotation_racing_an_end_stays_consistent(db: TestDb) {
    let node = Node::new(&db).await;
    for _ in 0..100 {
        let old = node.create().await;
        let (new, ended) = futures_util::future::join(node.rotate(&old), node.end(&old, EndReason::Revoked)).await;
        // Either the end came first and nothing was rotated, or the rotation came first and the end did not find the
        // old id.
        assert!(!node.is_live(&old).await);
        match new {
            Some(new) => assert!(ended == 0 && node.is_live(&new).await),
            None => assert_eq!(ended, 1),
        }
    }
}

async fn revocation_by_id_ends_a_session_that_rotates_meanwhile(db: TestDb) {
    let node = Node::new(&db).await;
    for round in 0..100 {
        let old = node.create().await;
        let rotate = rotate_under_lock(&node, &old);
        let revoke = revoke::revoke_one(&node.sessions.db, old.id().to_owned());
        let revoked = if round % 2 == 0 {
            futures_util::future::join(rotate, revoke).await.1
        } else {
            futures_util::future::join(revoke, rotate).await.0
        };
        assert!(revoked.unwrap(), "the session lived on under its new id");
        assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE ended_at IS NULL"), "0");
    }
}

/// Rotates a session as a sign-in does, under the lock of the account.
async fn rotate_under_lock(node: &Node, old: &SessionKey) {
    let (old, new, times) = (old.clone(), node.new_session(), node.sessions.times);
    let rotate = async move |conn: &mut Conn<'_>| {
        account::lock(conn, &new.account_id).await?;
        statements::rotate(conn, &old, &new, times).await
    };
    node.sessions.db.write(rotate).await.unwrap();
}
