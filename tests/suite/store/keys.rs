//! Session keys, their rotation, and the state stored under them.

use actix_session::storage::SessionStore;
use actix_web::cookie::time::Duration as CookieDuration;
use serde_json::json;
use sessile::{
    actions::session_data,
    base::error::Error,
    records::session::{EndReason, SessionKey, data::Patch, sweep},
};

use super::{Node, cookie, old_form, request, with_secret};
use crate::support::{Engine, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    missing_session_is_none,
    tampered_secret_is_refused_without_a_reason,
    a_key_with_another_account_finds_nothing,
    a_key_in_the_old_form_works_only_for_old_sessions,
    rotating_a_key_in_the_old_form_gives_the_new_form,
    old_keys_are_forgotten_with_their_sessions,
    unknown_id_is_never_adopted,
    visitors_make_no_rows,
    colliding_id_fails_and_never_overwrites,
    rotated_key_is_dead_at_once_and_state_and_data_are_kept,
    rotation_onto_an_id_that_exists_fails_and_changes_nothing,
    another_persons_session_is_not_rotated,
    one_of_two_concurrent_rotations_wins,
    changed_keys_are_merged_and_removed_ones_go,
    reserved_entries_are_never_stored,
    four_parallel_writers_of_different_keys_keep_four_keys,
    time_zone_of_the_connection_has_no_effect,
}

async fn missing_session_is_none(db: TestDb) {
    let node = Node::new(&db).await;
    let key = SessionKey::generate(&node.account_id, node.sessions.clock.now()).unwrap();
    assert!(node.load(&key).await.is_none());
    assert_eq!(node.told(&key).await, "the session has ended: unknown");
}

async fn tampered_secret_is_refused_without_a_reason(db: TestDb) {
    let node = Node::new(&db).await;
    let (key, other) = (node.create().await, node.create().await);
    let tampered = node.forged(&key, &other);
    assert!(node.load(&tampered).await.is_none());
    node.end(&key, EndReason::Revoked).await;
    assert_eq!(node.told(&tampered).await, "the session has ended: unknown");
    assert_eq!(node.told(&key).await, "the session has ended: revoked");
}

async fn a_key_with_another_account_finds_nothing(db: TestDb) {
    let node = Node::new(&db).await;
    let (key, other) = (node.create().await, node.another().await);
    let moved = with_secret(&key, &other.account_id, &key);
    assert!(node.load(&moved).await.is_none() && node.load(&key).await.is_some());
    node.end(&key, EndReason::Revoked).await;
    assert_eq!(node.told(&moved).await, "the session has ended: unknown");
    assert_eq!(node.told(&key).await, "the session has ended: revoked");
}

/// Fills the table as the migration does.
const FILL: &str = "INSERT INTO account_of_session (session_id, account_id) SELECT id, account_id FROM sessions UNION \
                    SELECT id, account_id FROM former_keys";

async fn a_key_in_the_old_form_works_only_for_old_sessions(db: TestDb) {
    let node = Node::new(&db).await;
    let (before, other) = (node.create().await, node.create().await);
    db.sql(FILL);
    let after = node.create().await;
    let load = async |key: &SessionKey| node.is_live(&old_form(key)).await;
    assert!(load(&before).await && !load(&after).await);
    assert!(node.is_live(&before).await && node.is_live(&after).await);
    assert!(!load(&node.forged(&before, &other)).await);
    // The next cookie contains the account.
    let facts = request(&old_form(&before));
    let set = std::rc::Rc::clone(&facts).scope(async {
        let old = cookie(&old_form(&before));
        let mut state = SessionStore::load(&node.sessions, &old).await.unwrap().expect("a live session");
        state.insert("sessile.touched".into(), "true".into());
        SessionStore::update(&node.sessions, old, state, &CookieDuration::hours(72)).await.unwrap()
    });
    assert_eq!(set.await.as_ref(), before.expose());
    node.end(&before, EndReason::Revoked).await;
    assert_eq!(node.told(&old_form(&before)).await, "the session has ended: revoked");
    assert_eq!(node.told(&old_form(&after)).await, "the session has ended: unknown");
}

async fn rotating_a_key_in_the_old_form_gives_the_new_form(db: TestDb) {
    let node = Node::new(&db).await;
    let (first, second) = (node.create().await, node.create().await);
    let rotated = node.rotate(&first).await.expect("a rotation");
    db.sql(FILL);
    // Both a key that was replaced earlier and a key that is replaced now still end their session.
    let next = node.rotate(&old_form(&second)).await.expect("a rotation");
    assert_eq!(next.account_id(), Some(node.account_id.as_str()));
    assert!(node.is_live(&next).await && !node.is_live(&old_form(&second)).await);
    assert!(!node.is_live(&old_form(&next)).await);
    for (old, new) in [(&first, &rotated), (&second, &next)] {
        assert!(node.sessions.log_out(&old_form(old), None).await.unwrap());
        assert!(!node.is_live(new).await);
    }
}

async fn old_keys_are_forgotten_with_their_sessions(db: TestDb) {
    let node = Node::new(&db).await;
    let (first, stays) = (node.create().await, node.create().await);
    let second = node.rotate(&first).await.expect("a rotation");
    db.sql(FILL);
    let last = node.rotate(&second).await.expect("a rotation");
    let left = || db.sql("SELECT count(*) FROM account_of_session");
    assert_eq!(left(), "3");
    node.end(&last, EndReason::Revoked).await;
    sweep::sweep(&node.sessions.db).await.unwrap();
    assert_eq!(left(), "3");
    db.sql("UPDATE sessions SET ended_at = INSTANT(-2592060) WHERE ended_at IS NOT NULL");
    sweep::sweep(&node.sessions.db).await.unwrap();
    assert_eq!(db.sql("SELECT session_id FROM account_of_session"), stays.id());
}

async fn unknown_id_is_never_adopted(db: TestDb) {
    let node = Node::new(&db).await;
    let own = SessionKey::generate(&node.account_id, node.sessions.clock.now()).unwrap();
    let facts = request(&own);
    let state = [("cart".to_owned(), "1".to_owned())].into();
    let result = std::rc::Rc::clone(&facts).scope(node.update(&own, state)).await;
    assert!(result.is_err());
    assert!(matches!(facts.fault.take(), Some(Error::SessionEnded(_))));
    assert_eq!(db.sql("SELECT count(*) FROM sessions"), "0");
}

async fn visitors_make_no_rows(db: TestDb) {
    let node = Node::new(&db).await;
    let state = [("cart".to_owned(), "1".to_owned())].into();
    let saved = SessionStore::save(&node.sessions, state, &CookieDuration::hours(72)).await;
    assert!(saved.is_err());
    assert_eq!(db.sql("SELECT count(*) FROM sessions"), "0");
}

async fn colliding_id_fails_and_never_overwrites(db: TestDb) {
    let node = Node::new(&db).await;
    let first = node.create().await;
    let mut colliding = node.new_session();
    colliding.key = node.forged(&first, &colliding.key);
    assert!(node.try_create(&colliding).await.is_err());
    assert!(node.is_live(&first).await && !node.is_live(&colliding.key).await);
    assert_eq!(db.sql("SELECT count(*) FROM sessions"), "1");
}

async fn rotated_key_is_dead_at_once_and_state_and_data_are_kept(db: TestDb) {
    let node = Node::new(&db).await;
    let old = node.create().await;
    node.change(&old, |state| drop(state.insert("cart".into(), "[1,2]".into()))).await.unwrap();
    let patch = Patch::new(json!({"draft": 1})).unwrap();
    session_data::patch(&node.sessions.db, node.acting(&old), patch).await.unwrap();
    let new = node.rotate(&old).await.expect("a rotation");
    assert_ne!(new.id(), old.id());
    assert!(node.load(&old).await.is_none());
    assert_eq!(node.load(&new).await.unwrap()["cart"], "[1,2]");
    assert_eq!(node.sessions.data(&node.account_id, new.id()).await.unwrap().unwrap(), "{\"draft\":1}");
    assert_eq!(db.sql("SELECT count(*) FROM sessions"), "1");
    assert!(node.rotate(&old).await.is_none());
}

async fn rotation_onto_an_id_that_exists_fails_and_changes_nothing(db: TestDb) {
    let node = Node::new(&db).await;
    let (one, two) = (node.create().await, node.create().await);
    let mut new = node.new_session();
    new.key = node.forged(&two, &new.key);
    let (old, times) = (one.clone(), node.sessions.times);
    let rotate = async move |conn: &mut sessile::base::db::Conn<'_>| {
        sessile::records::session::statements::rotate(conn, &old, &new, times).await
    };
    assert!(node.sessions.db.write(rotate).await.is_err());
    assert!(node.is_live(&one).await && node.is_live(&two).await);
}

async fn another_persons_session_is_not_rotated(db: TestDb) {
    let node = Node::new(&db).await;
    let other = node.another().await;
    let key = node.create().await;
    assert!(other.rotate(&key).await.is_none());
    assert!(node.is_live(&key).await);
}

async fn one_of_two_concurrent_rotations_wins(db: TestDb) {
    let node = Node::new(&db).await;
    for _ in 0..20 {
        let old = node.create().await;
        let (one, two) = futures_util::future::join(node.rotate(&old), node.rotate(&old)).await;
        assert!(one.is_some() != two.is_some());
        assert!(node.is_live(&one.or(two).unwrap()).await && !node.is_live(&old).await);
    }
}

async fn changed_keys_are_merged_and_removed_ones_go(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    let insert = |name: &'static str, value: &'static str| {
        move |state: &mut super::State| drop(state.insert(name.into(), value.into()))
    };
    node.change(&key, insert("a", "{\"deep\":{\"x\":1}}")).await.unwrap();
    node.change(&key, insert("b", "null")).await.unwrap();
    node.change(&key, insert("a", "{\"deep\":{\"y\":2}}")).await.unwrap();
    let state = node.load(&key).await.unwrap();
    assert_eq!((state["a"].as_str(), state["b"].as_str()), ("{\"deep\":{\"y\":2}}", "null"));
    node.change(&key, |state| drop(state.remove("a"))).await.unwrap();
    let state = node.load(&key).await.unwrap();
    assert!(!state.contains_key("a") && state.contains_key("b"));
}

async fn reserved_entries_are_never_stored(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    let version = || db.sql("SELECT version FROM sessions");
    let before = version();
    let touched = |state: &mut super::State| drop(state.insert("sessile.touched".into(), "true".into()));
    node.change(&key, touched).await.unwrap();
    assert_eq!(version(), before, "a touch alone does not write the row");
    let identity = |state: &mut super::State| {
        state.insert("actix_identity.user_id".into(), "\"somebody else\"".into());
        state.insert("a".into(), "1".into());
    };
    node.change(&key, identity).await.unwrap();
    let state = node.load(&key).await.unwrap();
    assert_eq!(state["actix_identity.user_id"], format!("\"{}\"", node.account_id));
    assert_eq!(state.len(), 2, "{state:?}");
}

async fn four_parallel_writers_of_different_keys_keep_four_keys(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    let load = async || SessionStore::load(&node.sessions, &cookie(&key)).await.unwrap().unwrap();
    let writers = ["a", "b", "c", "d"].map(|name| {
        let node = &node;
        let key = &key;
        request(key).scope(async move {
            let mut state = load().await;
            // Wait until all four have loaded the state.
            actix_web::rt::task::yield_now().await;
            state.insert(name.into(), "1".into());
            node.update(key, state).await.unwrap();
        })
    });
    futures_util::future::join_all(writers).await;
    let state = node.load(&key).await.unwrap();
    assert!(["a", "b", "c", "d"].iter().all(|name| state.contains_key(*name)), "{state:?}");
}

async fn time_zone_of_the_connection_has_no_effect(db: TestDb) {
    if db.engine == Engine::Postgres {
        let name = db.sql("SELECT current_database()");
        db.sql(&format!("ALTER DATABASE {name} SET timezone = 'Australia/Lord_Howe'"));
    }
    let node = Node::new(&db).await;
    let new = node.new_session();
    let record = node.try_create(&new).await.unwrap();
    assert!(node.is_live(&new.key).await);
    let mut clock = sessile::base::clock::Clock::default();
    node.sessions.db.measure_clock(&clock).await.unwrap();
    let off = record.created_at.micros().abs_diff(std::mem::take(&mut clock).now().micros());
    assert!(off < 60_000_000, "off by {off} µs");
    let counted = "SELECT count(*) FROM sessions WHERE created_at > INSTANT(-60) AND created_at < INSTANT(60) \
                   AND expires_at > INSTANT(259100) AND expires_at < INSTANT(259260)";
    assert_eq!(db.sql(counted), "1");
}
