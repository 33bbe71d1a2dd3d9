//! The upgrade to tables whose keys begin with the account, and its reversal, with data in every table. It may take
//! longer than a request.

use sessile::{
    base::db::{Conn, Db},
    records::{
        audit::{self, Cursor, Event, Kind, verify::verify},
        session::{EndReason, SessionKey},
    },
};

use super::{Node, old_form};
use crate::support::{TestDb, on_both_engines};

on_both_engines! {
    an_upgrade_keeps_sessions_and_audit_events,
    a_reverted_and_repeated_upgrade_keeps_the_data,
    migrations_may_take_longer_than_a_request,
}

pub const MIGRATION: &str = "2026-11-28-000090_account_first";

/// Two accounts with sessions of every kind, events and drafts.
struct Before {
    node: Node,
    other: Node,
    live: SessionKey,
    rotated: [SessionKey; 2],
    ended: SessionKey,
    others: SessionKey,
}

impl Before {
    async fn new(db: &TestDb) -> Self {
        let node = Node::new(db).await;
        let other = node.another().await;
        let (live, first, ended) = (node.create().await, node.create().await, node.create().await);
        let second = node.rotate(&first).await.expect("a rotation");
        for n in 0..6 {
            let kind = if n == 0 { Kind::AccountCreated } else { Kind::LoginSucceeded };
            let events = [&node, &other].map(|node| Event::of(kind, &node.account_id).detail(&n.to_string()));
            let nobodys = Event::of_nobody(Kind::LoginFailed).detail(&n.to_string());
            let events: Vec<Event> = events.into_iter().chain([nobodys]).collect();
            node.sessions.db.write(async move |conn: &mut Conn<'_>| audit::record(conn, &events).await).await.unwrap();
        }
        node.end(&ended, EndReason::Revoked).await;
        db.sql(
            "INSERT INTO drafts (account_id, id, text, version, revision, updated_at, updated_on) \
             SELECT id, 'one', 'text', 1, 1, INSTANT(0), 'D' FROM accounts",
        );
        let others = other.create().await;
        Self { node, other, live, rotated: [first, second], ended, others }
    }

    /// The database as an older version left it.
    async fn old(db: &TestDb) -> Self {
        let before = Self::new(db).await;
        db.take_back(MIGRATION);
        assert_eq!(db.sql("SELECT count(*) FROM audit WHERE account_id IS NULL"), "6");
        before
    }

    async fn upgrade(&self) {
        self.node.sessions.db.migrate().await.unwrap();
    }
}

async fn an_upgrade_keeps_sessions_and_audit_events(db: TestDb) {
    let before = Before::old(&db).await;
    before.upgrade().await;
    let Before { node, other, live, rotated: [first, second], ended, others } = &before;
    assert!(node.is_live(&old_form(live)).await && node.is_live(&old_form(second)).await);
    assert!(other.is_live(&old_form(others)).await && !node.is_live(&old_form(first)).await);
    assert_eq!(node.told(&old_form(ended)).await, "the session has ended: revoked");

    let keys = db.keys();
    let trail = keys.trail().clone();
    let verified = node.sessions.db.read(async move |conn: &mut Conn<'_>| verify(conn, &trail).await).await.unwrap();
    assert!(verified.broken == 0 && verified.uncheckable == 0 && verified.links == 14, "{verified:?}");
    for account in [node, other] {
        let own = numbers(account, 200, None).await;
        assert_eq!(own, (1..=own.len() as i64).rev().collect::<Vec<_>>());
    }
    // The next event gets the next number, and no event appears on two pages.
    let next = Event::of(Kind::LoginFailed, &node.account_id);
    node.sessions.db.write(async move |conn: &mut Conn<'_>| audit::record(conn, &[next]).await).await.unwrap();
    assert_eq!(numbers(node, 3, None).await, [9, 8, 7]);
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE account_id = '' AND id <= 6"), "6");

    assert_eq!(db.sql("SELECT count(*) FROM drafts WHERE text = 'text'"), "2");
    assert_eq!(db.sql("SELECT count(*) FROM account_of_device_secret"), db.sql("SELECT count(*) FROM devices"));
    assert_eq!(
        db.sql("SELECT count(*) FROM account_of_email e JOIN accounts a ON a.id = e.account_id AND a.email_key = e.email_key"),
        "2"
    );
    assert!(node.sessions.log_out(&old_form(first), None).await.unwrap() && !node.is_live(second).await);
}

/// The numbers of up to `most` events of an account, newest first, read page by page.
async fn numbers(node: &Node, most: usize, before: Option<Cursor>) -> Vec<i64> {
    let (mut all, mut before) = (Vec::new(), before);
    loop {
        let (account_id, limit) = (node.account_id.clone(), 2);
        let page = async move |conn: &mut Conn<'_>| audit::page(conn, &account_id, None, before, limit).await;
        let page = node.sessions.db.read(page).await.unwrap();
        all.extend(page.events.iter().map(|event| event.id));
        before = page.next;
        if before.is_none() || all.len() >= most {
            all.truncate(most);
            return all;
        }
    }
}

async fn a_reverted_and_repeated_upgrade_keeps_the_data(db: TestDb) {
    let before = Before::new(&db).await;
    let all = || {
        let rows = |columns: &str, table: &str| {
            db.sql(&format!("SELECT line FROM (SELECT {columns} AS line FROM {table} ORDER BY {columns}) AS lines"))
        };
        [
            rows(
                "account_id || '|' || id || '|' || device_id || '|' || version || '|' || coalesce(ended_reason, '')",
                "sessions",
            ),
            rows("account_id || '|' || id || '|' || name", "devices"),
            rows("account_id || '|' || id || '|' || session_id", "former_keys"),
            rows(
                "account_id || '|' || id || '|' || seq || '|' || kind || '|' || coalesce(detail, '')",
                "audit WHERE seq IS NOT NULL",
            ),
            rows("account_id || '|' || kind || '|' || coalesce(detail, '')", "audit"),
            rows("account_id || '|' || id || '|' || text", "drafts"),
            rows("email_key || '|' || account_id", "account_of_email"),
            rows("account_id", "account_of_device_secret"),
        ]
    };
    let was = all();
    assert!(was.iter().all(|rows| !rows.is_empty()), "{was:?}");
    db.take_back(MIGRATION);
    before.upgrade().await;
    assert_eq!(all(), was);
    // A foreign key clears the device of its sessions when the device is deleted.
    db.sql(&format!("DELETE FROM devices WHERE account_id = '{}'", before.other.account_id));
    db.take_back(MIGRATION);
    let without =
        format!("SELECT count(*) FROM sessions WHERE account_id = '{}' AND device_id IS NULL", before.other.account_id);
    assert_eq!(db.sql(&without), "1");
    before.upgrade().await;
    assert!(before.other.is_live(&before.others).await);
}

async fn migrations_may_take_longer_than_a_request(db: TestDb) {
    let impatient = Db::open(&db.settings(&[("SESSILE_STATEMENT_TIMEOUT", "1ms")]), None).unwrap();
    impatient.migrate().await.unwrap();
    assert_eq!(db.sql("SELECT count(*) FROM accounts"), "0");
}
