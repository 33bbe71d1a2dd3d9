//! All sessions end at once. Their rows end later, and until then nothing may bring them back.

use std::rc::Rc;

use actix_session::storage::SessionStore;
use sessile::{
    actions::revoke,
    base::db::{Conn, TouchRow},
    records::session::{
        EndReason, NewSession, Scope, SessionKey, SessionRef, counts, ends, generation, listing, statements, sweep,
        touch,
    },
};

use super::{Node, cookie, lost_answers::rekey, request};
use crate::support::{TestDb, on_both_engines};

on_both_engines! {
    all_sessions_end_with_one_event_each,
    a_session_whose_row_has_not_ended_yet_is_ended_everywhere,
    an_outdated_session_is_told_who_ended_it_and_gets_its_event,
    the_old_key_fetches_no_successor_of_an_outdated_session,
    a_sign_in_under_way_gets_no_session_that_lives,
    a_session_that_begins_right_after_the_end_of_all_lives,
    the_sweep_does_not_call_outdated_sessions_expired,
    rows_are_ended_in_batches_and_go_on_where_they_were,
    many_ends_at_once_count_each_session_once,
    the_down_file_revives_nothing,
}

/// Ends all sessions without ending their rows.
async fn outdate_all(node: &Node) -> i64 {
    node.sessions.db.write(async |conn: &mut Conn<'_>| generation::begin_next(conn).await).await.unwrap()
}

async fn end_rows(node: &Node) -> usize {
    generation::end_outdated(&node.sessions.db, async |_| true).await.unwrap()
}

fn revoked_events(db: &TestDb) -> String {
    db.sql("SELECT count(*) FROM audit WHERE kind = 'session.revoked' AND actor = 'operator'")
}

async fn all_sessions_end_with_one_event_each(db: TestDb) {
    let kim = Node::new(&db).await;
    let sam = kim.another().await;
    let keys = [kim.create().await, kim.create().await, sam.create().await];
    assert_eq!(revoke::revoke_all(&kim.sessions.db).await.unwrap().to_string(), "3");
    for key in &keys {
        assert_eq!(kim.told(key).await, "the session has ended: revoked");
    }
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE ended_reason = 'revoked' AND ended_by = 'operator'"), "3");
    assert_eq!(revoked_events(&db), "3");
    assert_eq!(db.sql("SELECT actor FROM audit WHERE kind = 'session.all-revoked'"), "operator");
    assert_eq!(revoke::revoke_all(&kim.sessions.db).await.unwrap().to_string(), "0");
}

async fn a_session_whose_row_has_not_ended_yet_is_ended_everywhere(db: TestDb) {
    let node = Node::new(&db).await;
    let (key, gone) = (node.create().await, node.create().await);
    node.end(&gone, EndReason::LoggedOut).await;
    assert_eq!(outdate_all(&node).await, 1);
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE ended_at IS NULL"), "1", "the row has not ended yet");

    let (account, id) = (node.account_id.clone(), key.id().to_owned());
    let read = async move |conn: &mut Conn<'_>| {
        let lives = listing::lives(conn, &account, &id).await?;
        let listed = listing::list(conn, &account).await?.len()
            + listing::of_accounts_after(conn, "").await?.map_or(0, |(some, _)| some.len());
        let of_devices = sessile::records::session::devices::in_use(conn, &account).await?.living.len();
        Ok((lives, listed, of_devices, counts::count_live(conn).await?, counts::any_live(conn).await?))
    };
    assert_eq!(node.sessions.db.read(read).await.unwrap(), (false, 0, 0, 0, false));

    let now = node.sessions.clock.now();
    let (account_id, id) = (node.account_id.clone(), key.id().to_owned());
    let row = TouchRow { account_id, id, at: now, expires_at: now.plus(node.sessions.times.idle), ip: None };
    assert_eq!(touch::write(&node.sessions.db, vec![row]).await.unwrap(), 0, "no touch");
    assert!(node.rotate(&key).await.is_none(), "no rotation");
    assert!(rekey(&node, &key).await.is_none(), "no confirmation");
    assert_eq!(node.end(&key, EndReason::LoggedOut).await, 0, "the first end stays");
    assert!(!node.is_live(&key).await);
    assert!(!node.is_live(&gone).await);
}

async fn an_outdated_session_is_told_who_ended_it_and_gets_its_event(db: TestDb) {
    let node = Node::new(&db).await;
    let key = node.create().await;
    outdate_all(&node).await;
    assert_eq!(revoked_events(&db), "0");
    assert_eq!(node.told(&key).await, "the session has ended: revoked");
    assert_eq!(db.sql("SELECT ended_reason || ' ' || ended_by FROM sessions"), "revoked operator");
    assert_eq!(revoked_events(&db), "1", "its row ended before its browser was told");
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind = 'session.used-after-end'"), "1");
    assert_eq!(end_rows(&node).await, 0);
}

async fn the_old_key_fetches_no_successor_of_an_outdated_session(db: TestDb) {
    let node = Node::new(&db).await;
    let old = node.create().await;
    let next = rekey(&node, &old).await.expect("a new key").key;
    outdate_all(&node).await;
    for key in [&old, &next] {
        let facts = request(key);
        let load = async { SessionStore::load(&node.sessions, &cookie(key)).await };
        assert!(Rc::clone(&facts).scope(load).await.unwrap().is_none());
        assert!(facts.live().is_none());
    }
    assert!(rekey(&node, &old).await.is_none());
    end_rows(&node).await;
    assert!(!node.is_live(&old).await && !node.is_live(&next).await);
}

/// Creates a session as a sign-in does, in which `meanwhile` happens after the generation was read.
async fn sign_in_beside(node: &Node, meanwhile: impl AsyncFnOnce()) -> SessionKey {
    let read = async |conn: &mut Conn<'_>| generation::current(conn).await;
    let began_in = node.sessions.db.read(read).await.unwrap();
    meanwhile().await;
    let new = NewSession { generation: began_in, ..node.new_session() };
    node.try_create(&new).await.unwrap();
    new.key
}

async fn a_sign_in_under_way_gets_no_session_that_lives(db: TestDb) {
    let node = Node::new(&db).await;
    let key = sign_in_beside(&node, async || assert_eq!(outdate_all(&node).await, 0)).await;
    assert!(!node.is_live(&key).await, "it began before, so it is ended");
    let key = sign_in_beside(&node, async || {}).await;
    assert!(node.is_live(&key).await);
}

async fn a_session_that_begins_right_after_the_end_of_all_lives(db: TestDb) {
    let node = Node::new(&db).await;
    let before = node.create().await;
    let (new, times) = (NewSession { generation: 1, ..node.new_session() }, node.sessions.times);
    let key = new.key.clone();
    let both = async move |conn: &mut Conn<'_>| {
        generation::begin_next(conn).await?;
        statements::create(conn, &new, times).await
    };
    node.sessions.db.write(both).await.unwrap();
    assert!(node.is_live(&key).await, "even one of the same transaction, and so of the same time");
    assert!(!node.is_live(&before).await);
    end_rows(&node).await;
    assert!(node.is_live(&key).await);
}

async fn the_sweep_does_not_call_outdated_sessions_expired(db: TestDb) {
    let node = Node::new(&db).await;
    node.create().await;
    outdate_all(&node).await;
    db.sql("UPDATE sessions SET last_activity = INSTANT(-259201), expires_at = INSTANT(-1)");
    assert_eq!(sweep::sweep(&node.sessions.db).await.unwrap().ended, 0);
    assert_eq!(end_rows(&node).await, 1);
    assert_eq!(db.sql("SELECT ended_reason FROM sessions"), "revoked");
}

async fn rows_are_ended_in_batches_and_go_on_where_they_were(db: TestDb) {
    let node = Node::new(&db).await;
    for _ in 0..150 {
        node.create().await;
    }
    assert_eq!(outdate_all(&node).await, 150);
    let first = generation::end_outdated(&node.sessions.db, async |_| false).await.unwrap();
    assert_eq!(revoked_events(&db), first.to_string(), "each batch is committed with its events");
    assert_eq!(first + end_rows(&node).await, 150);
    assert_eq!(revoked_events(&db), "150");
}

async fn many_ends_at_once_count_each_session_once(db: TestDb) {
    let node = Node::new(&db).await;
    let mut keys = Vec::new();
    for _ in 0..20 {
        keys.push(node.create().await);
    }
    let some: Vec<String> = keys.iter().map(|key| key.id().to_owned()).take(10).collect();
    let these = Scope::These { account: node.account_id.clone(), ids: some };
    let pool = &node.sessions.db;
    let by_kim =
        pool.write(async move |conn: &mut Conn<'_>| ends::end(conn, &these, EndReason::Revoked, "acc_kim", None).await);
    let refs: Vec<SessionRef> = keys.iter().map(|key| SessionRef::new(&node.account_id, key.id())).collect();
    let look = pool.write(async move |conn: &mut Conn<'_>| generation::end_these(conn, &refs).await);
    let (all, again, by_kim, look) = tokio::join!(revoke::revoke_all(pool), revoke::revoke_all(pool), by_kim, look);
    all.unwrap();
    again.unwrap();
    by_kim.unwrap();
    look.unwrap();
    end_rows(&node).await;
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE ended_at IS NULL"), "0");
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind = 'session.revoked'"), "20", "one event each");
    for key in &keys {
        assert!(!node.is_live(key).await);
    }
}

async fn the_down_file_revives_nothing(db: TestDb) {
    let node = Node::new(&db).await;
    node.create().await;
    outdate_all(&node).await;
    db.take_back("2026-11-29-000300_generations");
    assert_eq!(db.sql("SELECT ended_reason || ' ' || ended_by FROM sessions"), "revoked operator");
}
