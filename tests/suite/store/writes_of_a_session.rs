//! Writes that a session makes, and that no write succeeds after its end.

use serde_json::json;
use sessile::{
    actions::session_data,
    base::{db::Conn, error::Error},
    records::session::{Acting, EndReason, Reach, Who, data::Patch},
};

use super::{Node, lost_answers::rekey};
use crate::support::{TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    nothing_is_written_for_an_ended_session,
    a_write_needs_the_very_key_of_the_session,
    the_recent_password_is_checked_in_the_transaction,
    a_write_and_an_end_at_once_come_one_after_the_other,
}

async fn hold(node: &Node, acting: &Acting, reach: Reach) -> Option<Who> {
    let acting = acting.clone();
    node.sessions.db.write(async move |conn: &mut Conn<'_>| acting.hold(conn, reach).await).await.unwrap()
}

async fn nothing_is_written_for_an_ended_session(db: TestDb) {
    let node = Node::new(&db).await;
    for reach in [Reach::Itself, Reach::AllSessions] {
        let (ended, expired) = (node.create().await, node.create().await);
        assert_eq!(hold(&node, &node.acting(&ended), reach).await.unwrap().session_id, ended.id());
        node.end(&ended, EndReason::Revoked).await;
        db.sql(&format!("UPDATE sessions SET expires_at = INSTANT(-1) WHERE id = '{}'", expired.id()));
        assert!(hold(&node, &node.acting(&ended), reach).await.is_none());
        assert!(hold(&node, &node.acting(&expired), reach).await.is_none());
    }
}

async fn a_write_needs_the_very_key_of_the_session(db: TestDb) {
    let node = Node::new(&db).await;
    let (key, other) = (node.create().await, node.create().await);
    let forged = node.forged(&key, &other);
    assert!(hold(&node, &node.acting(&forged), Reach::Itself).await.is_none());
    // The key was rotated during the request. The session is the same, and the browser may not have the new key yet.
    let new = rekey(&node, &key).await.unwrap().key;
    assert_eq!(hold(&node, &node.acting(&key), Reach::Itself).await.unwrap().session_id, new.id());
    assert!(node.is_live(&new).await, "this is the new key's first use");
    assert!(hold(&node, &node.acting(&key), Reach::Itself).await.is_none());
    assert!(hold(&node, &node.acting(&new), Reach::Itself).await.is_some());
}

async fn the_recent_password_is_checked_in_the_transaction(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    let confirmed = async || {
        let acting = node.acting(&key);
        let hold = async move |conn: &mut Conn<'_>| acting.hold_confirmed(conn, Reach::AllSessions).await;
        node.sessions.db.write(hold).await
    };
    assert!(confirmed().await.unwrap().is_some());
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(-601)");
    assert!(matches!(confirmed().await, Err(Error::ConfirmationRequired)));
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(-10)");
    db.sql("UPDATE accounts SET password_changed_at = INSTANT(-5)");
    assert!(matches!(confirmed().await, Err(Error::ConfirmationRequired)), "the password was changed since");
}

/// When a data change and the session's end run at once, the change either comes first or does not happen.
async fn a_write_and_an_end_at_once_come_one_after_the_other(db: TestDb) {
    let node = Node::new(&db).await;
    for _ in 0..100 {
        let key = node.create().await;
        let patch = Patch::new(json!({"late": 1})).unwrap();
        let change = session_data::patch(&node.sessions.db, node.acting(&key), patch);
        let (changed, ended) = futures_util::future::join(change, node.end(&key, EndReason::Revoked)).await;
        assert_eq!(ended, 1);
        let stored = db.sql(&format!("SELECT data FROM sessions WHERE id = '{}'", key.id()));
        assert_eq!(changed.unwrap().is_some(), stored.contains("late"), "{stored}");
        assert!(hold(&node, &node.acting(&key), Reach::Itself).await.is_none());
    }
}
