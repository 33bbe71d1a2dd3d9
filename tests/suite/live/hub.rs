//! Two nodes' hubs in one process, without HTTP.

use std::time::Duration;

use actix_web::rt;
use sessile::{
    audit::{self, Event, Kind},
    db::Conn,
    session::{
        EndReason, Scope, Sessions, ends,
        news::{Hub, Pending, Subscription},
    },
};

use crate::{
    store::Node,
    support::{TestDb, eventually, on_both_engines},
};

on_both_engines! {
    an_end_on_one_node_is_known_to_the_other,
    what_is_rolled_back_is_told_to_nobody,
    what_the_trail_records_changes_the_lists_of_its_account,
    who_is_slow_is_told_all_that_matters_at_once,
    more_ends_than_one_text_holds_are_told_all_the_same,
    a_node_that_stops_takes_no_more_streams,
    a_node_has_so_many_streams_and_no_more,
    a_node_with_few_connections_keeps_some_for_requests_and_gives_no_account_many,
    a_node_is_sure_to_hear_only_while_it_listens,
}

/// As many as a node with enough files has.
const CONNECTIONS: usize = 2048;

/// A hub that runs.
async fn running(sessions: &Sessions) -> Hub {
    let hub = Hub::new(sessions.db.clone(), sessions.clock.clone(), CONNECTIONS);
    let run = hub.clone();
    rt::spawn(async move { run.run().await });
    eventually("the hub hears", async || hub.heard_everything().is_some()).await;
    hub
}

/// Waits for news that is more than "something may have changed".
async fn news(subscription: &Subscription, wanted: impl Fn(&Pending) -> bool) -> Pending {
    let mut all = Pending::default();
    while !wanted(&all) {
        let next = rt::time::timeout(Duration::from_secs(10), subscription.next()).await;
        all.fold(next.unwrap_or_else(|_| panic!("no such news within 10 s: {all:?}")));
    }
    all
}

async fn an_end_on_one_node_is_known_to_the_other(db: TestDb) {
    let node = Node::new(&db).await;
    let other = db.sessions().await;
    let hub = running(&other).await;
    let key = node.create().await;
    let (watched, beside) = (node.create().await, node.another().await);
    let told = [key.id(), watched.id()].map(|id| hub.subscribe(id, &node.account_id).unwrap());
    let stranger = hub.subscribe("aiq_of_another", &beside.account_id).unwrap();
    assert!(news(&stranger, |news| news.look).await.ended.is_none());
    let (send, receive) = std::sync::mpsc::channel();
    hub.on_known(move |time| send.send(time).unwrap());
    node.end(&key, EndReason::Revoked).await;
    let ended = news(&told[0], |news| news.ended.is_some()).await.ended.unwrap();
    assert_eq!(ended.because.as_str(), "revoked");
    assert!(ended.at.is_some());
    assert!(news(&told[1], |news| news.sessions).await.ended.is_none());
    let time = receive.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(time < Duration::from_secs(5), "{time:?}");
    let rotated = node.rotate(&watched).await.unwrap();
    assert!(news(&told[1], |news| news.rotated).await.ended.is_none());
    assert!(node.is_live(&rotated).await);
}

async fn what_is_rolled_back_is_told_to_nobody(db: TestDb) {
    let node = Node::new(&db).await;
    let hub = running(&node.sessions).await;
    let (key, last) = (node.create().await, node.create().await);
    let [told, after] = [&key, &last].map(|key| hub.subscribe(key.id(), &node.account_id).unwrap());
    let one = Scope::One(key.id().to_owned());
    let undone = node.sessions.db.write(async move |conn: &mut Conn<'_>| {
        ends::end(conn, &one, EndReason::Revoked, "operator", None).await?;
        Err::<(), _>(sessile::error::Error::NotFound)
    });
    assert!(undone.await.is_err());
    node.end(&last, EndReason::Revoked).await;
    // What was announced before would have come before.
    news(&after, |news| news.ended.is_some()).await;
    assert!(news(&told, |news| news.sessions).await.ended.is_none());
    assert!(node.is_live(&key).await);
}

async fn what_the_trail_records_changes_the_lists_of_its_account(db: TestDb) {
    let node = Node::new(&db).await;
    let beside = node.another().await;
    let hub = running(&node.sessions).await;
    let elsewhere = running(&db.sessions().await).await;
    let of = |hub: &Hub, account: &str| hub.subscribe("aiq_1", account).unwrap();
    let [here, there] = [&hub, &elsewhere].map(|hub| of(hub, &node.account_id));
    let stranger = of(&hub, &beside.account_id);
    for one in [&here, &there, &stranger] {
        news(one, |news| news.look).await;
    }
    let events = [Event::of(Kind::LoginSucceeded, &node.account_id), Event::of(Kind::DeviceNew, &node.account_id)];
    node.sessions.db.write(async move |conn: &mut Conn<'_>| audit::record(conn, &events).await).await.unwrap();
    for one in [&here, &there] {
        news(one, |news| news.sessions).await;
    }
    hub.close();
    assert!(!news(&stranger, |news| news.close).await.sessions);
}

async fn who_is_slow_is_told_all_that_matters_at_once(db: TestDb) {
    let node = Node::new(&db).await;
    let hub = running(&node.sessions).await;
    let key = node.create().await;
    let slow = hub.subscribe(key.id(), &node.account_id).unwrap();
    for _ in 0..50 {
        let other = node.create().await;
        node.end(&other, EndReason::Revoked).await;
    }
    node.end(&key, EndReason::Revoked).await;
    let last = hub.subscribe(key.id(), &node.account_id).unwrap();
    let other = node.create().await;
    node.end(&other, EndReason::Revoked).await;
    news(&last, |news| news.sessions).await;
    let all = slow.next().await;
    assert!(all.ended.is_some() && all.sessions && all.look, "one piece of news holds it all: {all:?}");
}

async fn more_ends_than_one_text_holds_are_told_all_the_same(db: TestDb) {
    let node = Node::new(&db).await;
    let hub = running(&db.sessions().await).await;
    let mut told = Vec::new();
    for _ in 0..300 {
        let key = node.create().await;
        told.push(hub.subscribe(key.id(), &node.account_id).unwrap());
    }
    let all = Scope::Account(node.account_id.clone());
    let end = node.sessions.db.write(async move |conn: &mut Conn<'_>| {
        ends::end(conn, &all, EndReason::PasswordChanged, "operator", None).await
    });
    assert_eq!(end.await.unwrap(), 300);
    for one in &told {
        news(one, |news| news.ended.is_some()).await;
    }
}

async fn a_node_that_stops_takes_no_more_streams(db: TestDb) {
    let node = Node::new(&db).await;
    let hub = running(&node.sessions).await;
    let open = hub.subscribe("aiq_1", &node.account_id).unwrap();
    hub.close();
    assert!(news(&open, |news| news.close).await.ended.is_none());
    assert!(matches!(hub.subscribe("aiq_1", &node.account_id), Err(sessile::error::Error::Unavailable(_))));
    drop(open);
    assert_eq!(hub.subscribers(), 0);
}

async fn a_node_has_so_many_streams_and_no_more(db: TestDb) {
    let hub = Hub::new(db.sessions().await.db, sessile::clock::Clock::default(), 2048);
    let subscribe = |n: usize| hub.subscribe(&format!("aiq_{n}"), &format!("acc_{n}"));
    let mut open: Vec<_> = (0..1_500).map(|n| subscribe(n).unwrap()).collect();
    assert!(matches!(subscribe(1_500), Err(sessile::error::Error::Unavailable(_))));
    open.pop();
    assert!(subscribe(1_500).is_ok());
}

async fn a_node_with_few_connections_keeps_some_for_requests_and_gives_no_account_many(db: TestDb) {
    let hub = Hub::new(db.sessions().await.db, sessile::clock::Clock::default(), 512);
    let mut open: Vec<(usize, Subscription)> = Vec::new();
    let mut subscribe = |account: usize, n: usize| {
        let one = hub.subscribe(&format!("aiq_{account}_{n}"), &format!("acc_{account}"))?;
        open.push((account, one));
        Ok::<_, sessile::error::Error>(())
    };
    for n in 0..60 {
        subscribe(0, n).unwrap();
    }
    let refused = (0..600).find(|n| subscribe(1 + n / 10, n % 10).is_err());
    assert_eq!(refused, Some(512 / 4 * 3 - 60), "a quarter of the connections is left");
    let mut told_to_go = 0;
    for (account, one) in &open {
        if *account == 0 && one.next().await.close {
            told_to_go += 1;
        }
    }
    assert_eq!(told_to_go, 60 - 51, "an account has a tenth of them");
}

async fn a_node_is_sure_to_hear_only_while_it_listens(db: TestDb) {
    let sessions = db.sessions().await;
    let hub = Hub::new(sessions.db.clone(), sessions.clock.clone(), CONNECTIONS);
    assert_eq!(hub.heard_everything(), None);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let run = hub.clone();
        let running = rt::spawn(async move { run.run().await });
        eventually("the hub hears", async || hub.heard_everything().is_some()).await;
        seen.push(hub.heard_everything());
        running.abort();
        eventually("the hub knows that it hears nothing", async || hub.heard_everything().is_none()).await;
    }
    seen.dedup();
    assert_eq!(seen.len(), 3, "each time has a number of its own: {seen:?}");
}
