//! The tamper-evident audit chain: the same cases on both engines.

mod anchors;
mod keys;
mod races;
mod retention;
mod tampering;
mod wiping;

use sessile::{
    base::{
        db::{Conn, Db},
        keys::Keys,
    },
    records::{
        account::{self, EmailAddress, Role},
        audit::{
            self, Event, Kind,
            verify::{Finding, Verified, Wrong, verify},
        },
    },
};

use crate::support::TestDb;

/// Creates an account together with its audit event.
async fn add_account(db: &Db, email: &str) -> String {
    let new = account::New {
        email: EmailAddress::parse(email).unwrap(),
        name: String::new(),
        role: Role::Member,
        password_hash: "none".into(),
    };
    db.write(async move |conn: &mut Conn<'_>| {
        let account = account::create(conn, &new).await?.expect("an unused address");
        audit::record(conn, &[Event::of(Kind::AccountCreated, &account.id).by("operator")]).await?;
        Ok(account.id)
    })
    .await
    .unwrap()
}

async fn record(db: &Db, events: Vec<Event>) {
    db.write(async move |conn: &mut Conn<'_>| audit::record(conn, &events).await).await.unwrap();
}

/// An event with a value in every column.
fn full(account_id: &str, n: usize) -> Event {
    Event::of(Kind::LoginFailed, account_id)
        .by("visitor")
        .session(&format!("aiq_{n}"))
        .device(Some("dev_1"), Some("Küche, Chrome"))
        .ip(Some("192.0.2.7"))
        .detail("detail")
}

/// A node with two accounts, each with the event of its creation and five more events.
struct Trail {
    db: Db,
    keys: Keys,
    kim: String,
    sam: String,
}

/// Verifies all chains.
async fn look(db: &Db, keys: &Keys) -> Verified {
    let trail = keys.trail().clone();
    db.read(async move |conn: &mut Conn<'_>| verify(conn, &trail).await).await.unwrap()
}

impl Trail {
    async fn new(db: &TestDb) -> Self {
        let node = db.sessions().await.db;
        let kim = add_account(&node, "kim@example.com").await;
        let sam = add_account(&node, "sam@example.com").await;
        for n in 0..5 {
            record(&node, vec![full(&kim, n)]).await;
            record(&node, vec![full(&sam, n)]).await;
        }
        let trail = Self { db: node, keys: db.keys(), kim, sam };
        assert_eq!(trail.verified().await, Verified { accounts: 2, links: 12, ..Verified::default() });
        trail
    }

    async fn verified(&self) -> Verified {
        look(&self.db, &self.keys).await
    }

    /// The single finding of a verification.
    async fn found(&self) -> Finding {
        let verified = self.verified().await;
        let [finding] = &verified.findings[..] else { panic!("one finding, not {verified:?}") };
        finding.clone()
    }

    /// Checks that this is the only finding and that it is in Kim's chain.
    async fn assert_finds(&self, audit_id: Option<i64>, wrong: Wrong) {
        assert_eq!(self.found().await, Finding { account_id: self.kim.clone(), audit_id, wrong });
    }
}

/// The ids of the account's events, oldest first.
fn ids(db: &TestDb, account_id: &str) -> Vec<i64> {
    let ids = db.sql(&format!("SELECT id FROM audit WHERE account_id = '{account_id}' ORDER BY id"));
    ids.lines().map(|id| id.parse().unwrap()).collect()
}

/// The SQL condition for one of the account's events.
fn one(account_id: &str, id: impl std::fmt::Display) -> String {
    format!("account_id = '{account_id}' AND id = {id}")
}
