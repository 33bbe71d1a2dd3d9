//! The hubs of two nodes in one process, without HTTP.

use std::time::Duration;

use actix_web::rt;
use sessile::{
    base::db::Conn,
    records::{
        audit::{self, Event, Kind},
        hub::{Hub, Listener, Notices, Subscription},
        session::{EndReason, Scope, SessionRef, Sessions, ends},
    },
};

use crate::{
    store::Node,
    support::{TestDb, eventually, on_both_engines},
};

on_both_engines! {
    an_end_on_one_node_is_known_to_the_other,
    a_rolled_back_end_is_not_announced,
    an_audit_event_announces_changed_lists,
    a_slow_listener_gets_all_news_at_once,
    more_ends_than_fit_in_one_message_are_announced,
    a_node_that_stops_takes_no_more_streams,
    streams_per_node_are_bounded,
    few_accounts_cannot_take_all_streams,
    an_address_over_its_streams_loses_its_busiest_account,
    few_connections_are_shared_fairly,
    a_node_is_certain_only_while_it_listens,
}

/// The connections of a node with enough file descriptors.
const CONNECTIONS: usize = 2048;

fn listener(session: &str, account: &str, from: Option<&str>) -> Listener {
    let network = from.map(|from| from.parse().expect("an address"));
    Listener { session: session.to_owned(), account: account.to_owned(), network }
}

fn subscribe(hub: &Hub, session: &str, account: &str) -> Subscription {
    hub.subscribe(listener(session, account, None)).expect("a subscription")
}

/// A running hub.
async fn running(sessions: &Sessions) -> Hub {
    let hub = Hub::new(sessions.db.clone(), sessions.clock.clone(), CONNECTIONS);
    let run = hub.clone();
    rt::spawn(async move { run.run().await });
    eventually("the hub listens", async || hub.heard_everything().is_some()).await;
    hub
}

/// Waits for the wanted news. A mere "something may have changed" does not count.
async fn news(subscription: &Subscription, wanted: impl Fn(&Notices) -> bool) -> Notices {
    let mut all = Notices::default();
    while !wanted(&all) {
        let next = rt::time::timeout(Duration::from_secs(10), subscription.next()).await;
        all.fold(next.unwrap_or_else(|_| panic!("no such announcement within 10 s: {all:?}")));
    }
    all
}

async fn an_end_on_one_node_is_known_to_the_other(db: TestDb) {
    let node = Node::new(&db).await;
    let other = db.sessions().await;
    let hub = running(&other).await;
    let key = node.create().await;
    let (watched, beside) = (node.create().await, node.another().await);
    let told = [key.id(), watched.id()].map(|id| subscribe(&hub, id, &node.account_id));
    let stranger = subscribe(&hub, "aiq_of_another", &beside.account_id);
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

async fn a_rolled_back_end_is_not_announced(db: TestDb) {
    let node = Node::new(&db).await;
    let hub = running(&node.sessions).await;
    let (key, last) = (node.create().await, node.create().await);
    let [told, after] = [&key, &last].map(|key| subscribe(&hub, key.id(), &node.account_id));
    let one = Scope::One(SessionRef::new(&node.account_id, key.id()));
    let undone = node.sessions.db.write(async move |conn: &mut Conn<'_>| {
        ends::end(conn, &one, EndReason::Revoked, "operator", None).await?;
        Err::<(), _>(sessile::base::error::Error::NotFound)
    });
    assert!(undone.await.is_err());
    node.end(&last, EndReason::Revoked).await;
    // Announcements arrive in order, so the rolled-back one would have arrived before this one.
    news(&after, |news| news.ended.is_some()).await;
    assert!(news(&told, |news| news.sessions).await.ended.is_none());
    assert!(node.is_live(&key).await);
}

async fn an_audit_event_announces_changed_lists(db: TestDb) {
    let node = Node::new(&db).await;
    let beside = node.another().await;
    let hub = running(&node.sessions).await;
    let elsewhere = running(&db.sessions().await).await;
    let of = |hub: &Hub, account: &str| subscribe(hub, "aiq_1", account);
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

async fn a_slow_listener_gets_all_news_at_once(db: TestDb) {
    let node = Node::new(&db).await;
    let hub = running(&node.sessions).await;
    let key = node.create().await;
    let slow = subscribe(&hub, key.id(), &node.account_id);
    for _ in 0..50 {
        let other = node.create().await;
        node.end(&other, EndReason::Revoked).await;
    }
    node.end(&key, EndReason::Revoked).await;
    let last = subscribe(&hub, key.id(), &node.account_id);
    let other = node.create().await;
    node.end(&other, EndReason::Revoked).await;
    news(&last, |news| news.sessions).await;
    let all = slow.next().await;
    assert!(all.ended.is_some() && all.sessions && all.look, "the news are combined: {all:?}");
}

async fn more_ends_than_fit_in_one_message_are_announced(db: TestDb) {
    let node = Node::new(&db).await;
    let hub = running(&db.sessions().await).await;
    let mut told = Vec::new();
    for _ in 0..300 {
        let key = node.create().await;
        told.push(subscribe(&hub, key.id(), &node.account_id));
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
    let open = subscribe(&hub, "aiq_1", &node.account_id);
    hub.close();
    assert!(news(&open, |news| news.close).await.ended.is_none());
    assert!(matches!(
        hub.subscribe(listener("aiq_1", &node.account_id, None)),
        Err(sessile::base::error::Error::Unavailable(_))
    ));
    drop(open);
    assert_eq!(hub.subscribers(), 0);
}

async fn streams_per_node_are_bounded(db: TestDb) {
    let hub = Hub::new(db.sessions().await.db, sessile::base::clock::Clock::default(), 2048);
    let subscribe = |n: usize| hub.subscribe(listener(&format!("aiq_{n}"), &format!("acc_{n}"), None));
    let mut open: Vec<_> = (0..1_500).map(|n| subscribe(n).unwrap()).collect();
    assert!(matches!(subscribe(1_500), Err(sessile::base::error::Error::Unavailable(_))), "every connection is in use");
    open.pop();
    assert!(subscribe(1_500).is_ok());
}

/// The number of subscriptions that were told to close.
async fn told_to_close(open: &[Subscription]) -> usize {
    let mut told = 0;
    for one in open {
        told += usize::from(one.next().await.close);
    }
    told
}

async fn few_accounts_cannot_take_all_streams(db: TestDb) {
    let hub = Hub::new(db.sessions().await.db, sessile::base::clock::Clock::default(), 2048);
    // From many addresses, with many sessions per account.
    let open: Vec<Subscription> = (0..3_000)
        .map(|n: usize| {
            let from = format!("10.{}.{}.1", n % 200, n / 200);
            hub.subscribe(listener(&format!("aiq_{n}"), &format!("acc_{}", n % 15), Some(&from))).unwrap()
        })
        .collect();
    assert_eq!(told_to_close(&open).await, 3_000 - 15 * 64, "an account keeps its share");
    let more: Vec<Subscription> = (0..600)
        .map(|n: usize| hub.subscribe(listener(&format!("aiq_s{n}"), &format!("acc_s{n}"), None)).unwrap())
        .collect();
    assert_eq!(told_to_close(&more).await, 0, "a full account makes room for others");
}

async fn an_address_over_its_streams_loses_its_busiest_account(db: TestDb) {
    let hub = Hub::new(db.sessions().await.db, sessile::base::clock::Clock::default(), 2048);
    let subscribe = |n: usize, account: &str, from: &str| {
        hub.subscribe(listener(&format!("aiq_{account}_{n}"), account, Some(from))).unwrap()
    };
    let neighbour = subscribe(0, "acc_neighbour", "192.0.2.1");
    let many: Vec<Subscription> = (0..500).map(|n| subscribe(n, &format!("acc_{}", n % 10), "192.0.2.1")).collect();
    assert_eq!(told_to_close(&many).await, 501 - 375);
    assert!(!neighbour.next().await.close);
    assert!(!subscribe(1, "acc_elsewhere", "192.0.2.2").next().await.close);
}

async fn few_connections_are_shared_fairly(db: TestDb) {
    let hub = Hub::new(db.sessions().await.db, sessile::base::clock::Clock::default(), 512);
    let mut open = Vec::new();
    for n in 0..60 {
        open.push(hub.subscribe(listener(&format!("aiq_0_{n}"), "acc_0", None)).unwrap());
    }
    assert_eq!(told_to_close(&open).await, 60 - 51, "an account has a tenth of them");
    let mut others = Vec::new();
    let refused = (0..600).find(|n: &usize| {
        match hub.subscribe(listener(&format!("aiq_{n}"), &format!("acc_s{n}"), None)) {
            Ok(one) => others.push(one),
            Err(_) => return true,
        }
        false
    });
    assert_eq!(refused, Some(512 / 4 * 3 - 1), "a quarter of the connections stays free");
}

async fn a_node_is_certain_only_while_it_listens(db: TestDb) {
    let sessions = db.sessions().await;
    let hub = Hub::new(sessions.db.clone(), sessions.clock.clone(), CONNECTIONS);
    assert_eq!(hub.heard_everything(), None);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let run = hub.clone();
        let running = rt::spawn(async move { run.run().await });
        eventually("the hub listens", async || hub.heard_everything().is_some()).await;
        seen.push(hub.heard_everything());
        running.abort();
        eventually("the hub notices that its listener is gone", async || hub.heard_everything().is_none()).await;
    }
    seen.dedup();
    assert_eq!(seen.len(), 3, "each period has its own number: {seen:?}");
}
