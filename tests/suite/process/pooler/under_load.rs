//! PgBouncer is restarted, killed, paused and reconnected under load, and PostgreSQL behind it is restarted. The listener
//! goes past PgBouncer or through it.

use std::time::Duration;

use super::{
    super::{
        cluster::Cluster,
        faults::{Log, MORE, Storm, rounds, serves_again},
    },
    Pooler, through,
};
use crate::support::{Server, TestDb};

/// What operators and accidents do to PgBouncer. Each makes requests fail for a while, except `Reconnect` and `Pause`,
/// which wait for clients of session mode to leave.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    Restart,
    Killed,
    Frozen,
    KillDatabase,
    Reconnect,
    Pause,
}

impl Trouble {
    pub const ALL: [Self; 6] =
        [Self::Restart, Self::Killed, Self::Frozen, Self::KillDatabase, Self::Reconnect, Self::Pause];

    /// Makes the trouble, lets `meanwhile` happen, and ends the trouble.
    pub fn happen(self, pooler: &mut Pooler, database: &str, meanwhile: impl FnOnce()) {
        match self {
            Self::Restart => pooler.restart("-TERM", meanwhile),
            Self::Killed => pooler.restart("-KILL", meanwhile),
            Self::Frozen => {
                pooler.signal("-STOP");
                meanwhile();
                pooler.signal("-CONT");
            }
            Self::KillDatabase => {
                pooler.command(&format!("KILL {database}"));
                meanwhile();
                pooler.command(&format!("RESUME {database}"));
            }
            Self::Reconnect => {
                pooler.command("RECONNECT");
                meanwhile();
            }
            Self::Pause => {
                // In session mode it waits until every client has left, which never happens.
                let mut waits = pooler.begin(&format!("PAUSE {database}"));
                meanwhile();
                waits.kill().expect("a process to kill");
                waits.wait().expect("an exit status");
                pooler.command(&format!("RESUME {database}"));
            }
        }
    }

    /// Whether requests get 503 until the trouble ends.
    fn cuts(self) -> bool {
        !matches!(self, Self::Reconnect | Self::Pause)
    }
}

/// The name of the database in its URL.
pub fn name_of(db: &TestDb) -> String {
    db.url().rsplit('/').next().and_then(|name| name.split('?').next()).expect("a name").to_owned()
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn troubles_of_pgbouncer_lose_nothing_with_a_listener_past_it() {
    suffer("PgBouncer, listener past it", |db| vec![("SESSILE_LISTEN_DATABASE_URL", db.url().to_owned())]);
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn troubles_of_pgbouncer_lose_nothing_with_a_listener_through_it() {
    suffer("PgBouncer, listener through it", |_| Vec::new());
}

fn suffer(name: &str, more: impl Fn(&TestDb) -> Vec<(&'static str, String)>) {
    let (postgres, db) = Cluster::start();
    let storm = Storm::new(&db, 12);
    let mut pooler = Pooler::start(&db, "session");
    pooler.wait_until_ready();
    let pooled = through(&db, &pooler);
    let own = more(&db);
    let short = [("SESSILE_STATEMENT_TIMEOUT", "1s"), ("SESSILE_POOL_TIMEOUT", "1s")];
    let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = Server::start(&pooled, &[&MORE[..], &short, &own].concat());
    let database = name_of(&db);
    storm.during(&server.client(), |log| {
        for _ in 0..rounds(1, 5) {
            for trouble in Trouble::ALL {
                log.wait_for_changes(10);
                trouble.happen(&mut pooler, &database, || be_there(trouble, log));
                serves_again(&format!("{name}: {trouble:?}"), log, log.now());
            }
            log.wait_for_changes(10);
            postgres.stop_as("immediate");
            log.wait_for_away(30);
            postgres.start_again();
            serves_again(&format!("{name}: PostgreSQL restarted"), log, log.now());
        }
        log.wait_for_changes(10);
    });
    storm.check(name, &db, &server);
}

/// Waits until the trouble was felt, or, if it must not be felt, until requests have succeeded in spite of it.
fn be_there(trouble: Trouble, log: &Log) {
    if trouble.cuts() {
        log.wait_for_away(30);
    } else {
        let before = log.now();
        log.wait_for_changes(20);
        let slow = log.now() - before;
        assert!(slow < Duration::from_secs(20), "{trouble:?} held 20 changes up for {slow:?}");
    }
}
