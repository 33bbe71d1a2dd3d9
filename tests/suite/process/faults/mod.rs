//! Faults under load: many clients keep sending requests while a database is stopped, replaced, slowed down or filled
//! up. Every case runs a [`Storm`], and the rules judge its log.

mod browser;
mod disk;
mod failover;
mod locked;
mod log;
mod narrow;
mod network;
pub mod proxy;
mod restart;
mod rules;
mod rules_tests;
mod verify_full;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use self::log::{Asked, Entry, Log, Said};
use self::{
    browser::{Browser, Scene},
    rules::{Row, Stored, breaches},
};
use crate::support::is_long;
use crate::support::{Client, Server, TestDb, add_user};

/// Settings of every storm: touches on every request, no session limit, and a short log.
pub const MORE: [(&str, &str); 3] =
    [("SESSILE_SESSIONS_PER_ACCOUNT", "0"), ("SESSILE_TOUCH_INTERVAL", "1s"), ("SESSILE_LOG", "error")];
/// The promise: after a fault the program serves again within this time.
const AGAIN: Duration = Duration::from_secs(5);

/// A set of clients and their log.
pub struct Storm {
    pub log: Log,
    people: Vec<String>,
    clients: u64,
    /// Whether the case kills the program, so that some requests get no answer.
    killed: bool,
}

impl Storm {
    /// Clients for a server with this database. Creates an account for every two clients.
    pub fn new(db: &TestDb, clients: u64) -> Self {
        let people: Vec<String> = (0..clients.div_ceil(2)).map(|n| format!("person{n}@example.com")).collect();
        for email in &people {
            add_user(db, email, "member");
        }
        Self { log: Log::new(), people, clients, killed: false }
    }

    /// For cases that kill and restart the program.
    pub fn of_kills(mut self) -> Self {
        self.killed = true;
        self
    }

    /// Runs `fault` while all clients are busy.
    pub fn during<T>(&self, client: &Client, fault: impl FnOnce(&Log) -> T) -> T {
        let stop = AtomicBool::new(false);
        let scene = Scene { log: &self.log, stop: &stop, begun: Mutex::default() };
        std::thread::scope(|scope| {
            // Stop the clients even if the fault panics.
            let _stop = StopAtEnd(&stop);
            for n in 0..self.clients {
                let email = &self.people[usize::try_from(n / 2).unwrap()];
                let browser = Browser::new(&scene, client.clone(), email, n + 1);
                scope.spawn(move || browser.live());
            }
            for n in 0..self.clients.div_ceil(4) {
                let onlooker = Browser::new(&scene, client.clone(), "", self.clients + n + 1);
                scope.spawn(move || onlooker.look_on());
            }
            let pulse = Browser::new(&scene, client.clone(), "", 999);
            scope.spawn(move || pulse.feel_the_pulse());
            fault(&self.log)
        })
    }

    /// The same people with an empty log, for another fault on the same database.
    pub fn again(self) -> Self {
        Self { log: Log::new(), ..self }
    }

    /// Sends a last request with every session, then checks the log against the rules and the audit events.
    pub fn check(&self, name: &str, db: &TestDb, server: &Server) {
        self.check_at(&server.client(), name, db, || server.log());
    }

    /// Like [`check`](Self::check), of a program that `client` reaches in another way.
    pub fn check_at(&self, client: &Client, name: &str, db: &TestDb, program_log: impl Fn() -> String) {
        self.ask_all(client);
        let log = self.log.entries();
        let found = breaches(&log, &stored(db));
        assert!(
            found.is_empty(),
            "{name}: {} breaches:\n{}\nthe log is:\n{}",
            found.len(),
            found.join("\n"),
            program_log()
        );
        let silent = log.iter().filter(|entry| entry.said == Said::Silence).count();
        assert!(self.killed || silent == 0, "{name}: {silent} requests without an answer");
        let all = |such: fn(&Entry) -> bool| log.iter().filter(|entry| such(entry)).count();
        println!(
            "{name}: {} requests, {} logins and {} logouts acknowledged, {} answers of 503, {silent} without an answer; \
             the slowest took {:?}",
            all(|entry| entry.asked != Asked::Health),
            all(|entry| matches!(entry.said, Said::Begun(_))),
            all(|entry| entry.asked == Asked::Logout && entry.is_success()),
            all(|entry| entry.said == Said::Away),
            log.iter().map(Entry::took).max().unwrap_or_default(),
        );
    }

    fn ask_all(&self, client: &Client) {
        let stop = AtomicBool::new(false);
        let scene = Scene { log: &self.log, stop: &stop, begun: Mutex::default() };
        for entry in self.log.entries() {
            if let Said::Begun(session) = entry.said {
                for asked in [Asked::Look, Asked::Data] {
                    Browser::new(&scene, client.clone(), "", 1).insist(asked, &session);
                }
            }
        }
    }
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until a read and a write that began after `back` have succeeded, and checks that this did not take too long.
pub fn serves_again(name: &str, log: &Log, back: Duration) {
    let read =
        log.wait_for(1, "reads", |entry| entry.started >= back && entry.asked == Asked::Look && entry.is_success());
    let since = |entry: &Entry| entry.ended - back;
    let written = log.entries().into_iter().find(|entry| entry.started >= back && entry.is_written());
    let written =
        written.unwrap_or_else(|| log.wait_for(1, "writes", |entry| entry.started >= back && entry.is_written()));
    println!("{name}: the first 200 after {:?}, the first change after {:?}", since(&read), since(&written));
    assert!(since(&read) < AGAIN && since(&written) < AGAIN, "{name}: {read:?} {written:?}");
}

/// The number of rounds of a fault: `long` in the long version.
pub fn rounds(quick: usize, long: usize) -> usize {
    if is_long() { long } else { quick }
}

fn stored(db: &TestDb) -> Stored {
    let rows = db.sql(
        "SELECT line FROM (SELECT kind || '|' || coalesce(session_id, '') || '|' || coalesce(detail, '') AS line \
         FROM audit ORDER BY account_id, id) AS trail",
    );
    let row = |line: &str| {
        let mut parts = line.splitn(3, '|').map(str::to_owned);
        let mut part = || parts.next().expect("three parts");
        Row { kind: part(), session: part(), detail: part() }
    };
    let living = db.sql("SELECT id FROM sessions WHERE ended_at IS NULL");
    Stored {
        trail: rows.lines().map(row).collect(),
        living: living.lines().map(str::to_owned).collect::<BTreeSet<_>>(),
    }
}
