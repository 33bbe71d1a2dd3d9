//! A rotation whose answer may be lost. The old key fetches the new key until the new key is used. It can end the
//! session at any later time.

use std::rc::Rc;

use actix_session::storage::SessionStore;
use sessile::{
    base::db::{Conn, TouchRow},
    records::{
        account,
        session::{
            EndReason, SessionKey, former,
            statements::{self, Rekeyed},
        },
    },
};

use super::{Node, cookie, request};
use crate::support::{TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    until_the_new_key_is_used_the_old_key_fetches_it,
    once_the_new_key_was_used_the_old_key_is_dead,
    a_rotation_asked_for_twice_is_one,
    rotations_at_once_all_lead_to_one_key,
    a_wrong_secret_under_an_old_id_gets_no_reason,
    every_key_that_a_session_had_can_end_it,
    a_session_remembers_its_first_key,
    a_logout_racing_a_rotation_always_ends_the_session,
    the_old_key_gets_the_reason_of_an_end_elsewhere,
    a_confirmation_counts_as_activity_in_the_row,
}

/// Replaces a session's key as a confirmation does, which locks the account first.
pub async fn rekey(node: &Node, old: &SessionKey) -> Option<Rekeyed> {
    let (old, sessions, account_id) = (old.clone(), node.sessions.clone(), node.account_id.clone());
    let rekey = async move |conn: &mut Conn<'_>| {
        account::lock(conn, &account_id).await?;
        statements::rekey(conn, &old, &sessions, None).await
    };
    node.sessions.db.write(rekey).await.unwrap()
}

/// The session's current key after a request with `key`.
async fn key_after(node: &Node, key: &SessionKey) -> Option<String> {
    let facts = request(key);
    let scope = Rc::clone(&facts);
    scope.scope(SessionStore::load(&node.sessions, &cookie(key))).await.unwrap();
    facts.live().map(|live| live.key.expose())
}

async fn until_the_new_key_is_used_the_old_key_fetches_it(db: TestDb) {
    let node = Node::new(&db).await;
    let old = node.create().await;
    node.change(&old, |state| drop(state.insert("cart".into(), "1".into()))).await.unwrap();
    let Rekeyed { key, is_new } = rekey(&node, &old).await.unwrap();
    assert!(is_new && key.id() != old.id());
    for _ in 0..3 {
        assert_eq!(key_after(&node, &old).await, Some(key.expose()));
    }
    // The cookie gets the new key, even if the request changes the state.
    let facts = request(&old);
    let handed = Rc::clone(&facts).scope(async {
        let mut state = SessionStore::load(&node.sessions, &cookie(&old)).await.unwrap().unwrap();
        state.insert("more".into(), "2".into());
        node.update(&old, state).await.unwrap()
    });
    assert_eq!(handed.await.as_ref(), key.expose());
    let state = node.load(&key).await.unwrap();
    assert_eq!((state["cart"].as_str(), state["more"].as_str()), ("1", "2"));
    assert_eq!(key_after(&node, &old).await, None, "the new key has been used");
    assert_eq!(node.told(&old).await, "the session has ended: unknown");
    assert!(node.is_live(&key).await);
}

async fn once_the_new_key_was_used_the_old_key_is_dead(db: TestDb) {
    let node = Node::new(&db).await;
    let old = node.create().await;
    let key = rekey(&node, &old).await.unwrap().key;
    let other = Node { sessions: db.sessions().await, ..Node::new_on(&node) };
    assert!(other.is_live(&key).await);
    assert!(!node.is_live(&old).await && rekey(&node, &old).await.is_none());
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE key_used_at > INSTANT(-60)"), "1");
}

async fn a_rotation_asked_for_twice_is_one(db: TestDb) {
    let node = Node::new(&db).await;
    let old = node.create().await;
    let first = rekey(&node, &old).await.unwrap();
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(-3000)");
    let second = rekey(&node, &old).await.unwrap();
    assert_eq!((second.key.expose(), second.is_new), (first.key.expose(), false));
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE authenticated_at > INSTANT(-60)"), "1");
    // Two answers were lost, but the browser is still only one key behind.
    assert_eq!(key_after(&node, &old).await, Some(first.key.expose()));
}

async fn rotations_at_once_all_lead_to_one_key(db: TestDb) {
    let node = Node::new(&db).await;
    for _ in 0..20 {
        let old = node.create().await;
        let four = futures_util::future::join_all((0..4).map(|_| rekey(&node, &old))).await;
        let keys: Vec<String> = four.iter().flatten().map(|one| one.key.expose()).collect();
        assert_eq!((keys.len(), four.iter().flatten().filter(|one| one.is_new).count()), (4, 1));
        assert!(keys.iter().all(|key| *key == keys[0]));
    }
}

async fn a_wrong_secret_under_an_old_id_gets_no_reason(db: TestDb) {
    let node = Node::new(&db).await;
    let old = node.create().await;
    let key = rekey(&node, &old).await.unwrap().key;
    let forged = node.forged(&old, &key);
    assert!(!node.is_live(&forged).await && rekey(&node, &forged).await.is_none());
    assert!(!node.sessions.log_out(&forged, None).await.unwrap());
    node.end(&key, EndReason::Revoked).await;
    assert_eq!(node.told(&forged).await, "the session has ended: unknown");
}

async fn every_key_that_a_session_had_can_end_it(db: TestDb) {
    let node = Node::new(&db).await;
    for back in 0..4 {
        let mut keys = vec![node.create().await];
        for at in 0..3 {
            let key = rekey(&node, &keys[at]).await.unwrap().key;
            assert!(node.is_live(&key).await);
            keys.push(key);
        }
        keys.reverse();
        assert!(node.sessions.log_out(&keys[back], None).await.unwrap(), "{back} keys back");
        assert!(!node.is_live(&keys[0]).await);
        assert_eq!(node.told(&keys[0]).await, "the session has ended: logged-out");
        assert!(!node.sessions.log_out(&keys[back], None).await.unwrap(), "the session ends only once");
    }
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind = 'logout'"), "4");
}

async fn a_session_remembers_its_first_key(db: TestDb) {
    let node = Node::new(&db).await;
    let first = node.create().await;
    let mut key = first.clone();
    for _ in 0..30 {
        key = rekey(&node, &key).await.unwrap().key;
        assert!(node.is_live(&key).await);
    }
    assert_eq!(db.sql("SELECT count(*) FROM former_keys"), "30");
    assert!(node.sessions.log_out(&first, None).await.unwrap() && !node.is_live(&key).await);
    db.sql("DELETE FROM sessions");
    assert_eq!(db.sql("SELECT count(*) FROM former_keys"), "0", "former keys are deleted with their session");
}

/// A logout takes effect with the current key and with a key that a concurrent rotation replaces.
async fn a_logout_racing_a_rotation_always_ends_the_session(db: TestDb) {
    let node = Node::new(&db).await;
    for round in 0..250 {
        let old = node.create().await;
        let (rotation, logout) = (rekey(&node, &old), node.sessions.log_out(&old, None));
        let (rotated, ended) = if round % 2 == 0 {
            futures_util::future::join(rotation, logout).await
        } else {
            let (ended, rotated) = futures_util::future::join(logout, rotation).await;
            (rotated, ended)
        };
        assert!(ended.unwrap(), "the session was live, so the logout ends it");
        assert!(!node.is_live(&old).await);
        if let Some(Rekeyed { key, .. }) = rotated {
            assert!(!node.is_live(&key).await, "round {round}");
        }
    }
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE ended_at IS NULL"), "0");
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind = 'logout'"), "250");
}

async fn the_old_key_gets_the_reason_of_an_end_elsewhere(db: TestDb) {
    let node = Node::new(&db).await;
    let old = node.create().await;
    let key = rekey(&node, &old).await.unwrap().key;
    node.end(&key, EndReason::Revoked).await;
    assert_eq!(node.told(&old).await, "the session has ended: revoked");
    let account_id = node.account_id.clone();
    let id = old.id().to_owned();
    let present = async move |conn: &mut Conn<'_>| former::present_id(conn, &account_id, &id).await;
    assert_eq!(node.sessions.db.read(present).await.unwrap(), key.id());
}

/// A queued touch has the old id and never reaches the row, so the rotation itself must update the activity.
async fn a_confirmation_counts_as_activity_in_the_row(db: TestDb) {
    let node = Node::new(&db).await;
    let old = node.create().await;
    let age = "UPDATE sessions SET created_at = INSTANT(-255600), authenticated_at = INSTANT(-255600), \
               last_activity = INSTANT(-255600), expires_at = INSTANT(3600)";
    db.sql(age);
    let now = node.sessions.clock.now();
    let expires_at = now.plus(std::time::Duration::from_secs(259_200));
    node.sessions.touches.push(TouchRow {
        account_id: node.account_id.clone(),
        id: old.id().into(),
        at: now,
        expires_at,
        ip: None,
    });
    rekey(&node, &old).await.unwrap();
    node.sessions.touches.flush(&node.sessions.db).await.unwrap();
    let row = "SELECT count(*) FROM sessions WHERE last_activity > INSTANT(-60) AND expires_at > INSTANT(259000)";
    assert_eq!(db.sql(row), "1");
    db.sql(
        "UPDATE sessions SET last_activity = INSTANT(-100), expires_at = INSTANT(5), absolute_expires_at = INSTANT(9)",
    );
    rekey(&node, &old).await.unwrap();
    assert_eq!(
        db.sql("SELECT count(*) FROM sessions WHERE expires_at <= absolute_expires_at"),
        "1",
        "never beyond the absolute end"
    );
}
