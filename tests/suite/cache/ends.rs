//! After the end of a session is acknowledged, no request that starts later succeeds with it, on any node and in any
//! trouble. 1,000 ends each with `SESSILE_TEST_LONG`; `--nocapture` prints the table of docs/performance.md.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{
    KIM, has_lease,
    readers::{watch_ends, watch_ends_around},
};
use crate::{
    process::{
        cluster::Cluster,
        faults::proxy::{Proxy, Weather},
        psql::Psql,
    },
    support::{Engine, Served, Server, TestDb, add_user, is_long, run},
};

pub const MORE: &[(&str, &str)] = &[("SESSILE_SESSIONS_PER_ACCOUNT", "0"), ("SESSILE_LOG", "warn")];

pub fn rounds() -> usize {
    if is_long() { 1_000 } else { 15 }
}

/// Runs `trouble` again and again, beside `work`.
fn beside<T>(mut trouble: impl FnMut() + Send, work: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                trouble();
            }
        });
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Lets time pass for a trouble that happens beside the work. Nothing is asserted about it.
pub fn pause(millis: u64) {
    std::thread::park_timeout(Duration::from_millis(millis));
}

async fn nodes(db: &TestDb, many: usize) -> Vec<Server> {
    add_user(db, KIM, "owner");
    let nodes: Vec<Server> = (0..many).map(|_| Server::start(db, MORE)).collect();
    for node in &nodes {
        has_lease(node).await;
    }
    nodes
}

pub fn served(nodes: &[Server]) -> Vec<&Served> {
    nodes.iter().map(|node| &**node).collect()
}

#[test]
fn one_server_on_a_file() {
    run(Engine::Sqlite, async |db: TestDb| {
        let nodes = nodes(&db, 1).await;
        watch_ends(&served(&nodes), rounds()).check("SQLite, one server");
    });
}

#[test]
fn two_servers_on_a_file() {
    run(Engine::Sqlite, async |db: TestDb| {
        let nodes = nodes(&db, 2).await;
        watch_ends(&served(&nodes), rounds()).check("SQLite, two servers");
    });
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn three_healthy_nodes() {
    run(Engine::Postgres, async |db: TestDb| {
        let nodes = nodes(&db, 3).await;
        watch_ends(&served(&nodes), rounds()).check("three healthy nodes");
    });
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn listeners_that_are_cut_again_and_again() {
    run(Engine::Postgres, async |db: TestDb| {
        let nodes = nodes(&db, 2).await;
        let mut other = Psql::open(&db);
        let cut = || {
            other.ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'sessile listener' AND datname = current_database()");
            pause(70);
        };
        beside(cut, || watch_ends(&served(&nodes), rounds())).check("listeners cut again and again");
    });
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_node_that_is_stopped_and_continued() {
    run(Engine::Postgres, async |db: TestDb| {
        let nodes = nodes(&db, 2).await;
        let node = nodes[1].pid().to_string();
        beside(|| stop_and_continue(&node), || watch_ends(&served(&nodes), rounds()))
            .check("a node stopped and continued");
    });
}

#[test]
fn a_server_on_a_file_that_is_stopped_and_continued() {
    run(Engine::Sqlite, async |db: TestDb| {
        let nodes = nodes(&db, 2).await;
        let node = nodes[1].pid().to_string();
        let watched = beside(|| stop_and_continue(&node), || watch_ends(&served(&nodes), rounds()));
        watched.check("SQLite, a server stopped and continued");
    });
}

fn stop_and_continue(process: &str) {
    for (signal, millis) in [("-STOP", 700), ("-CONT", 300)] {
        let _ = std::process::Command::new("kill").args([signal, process]).status();
        pause(millis);
    }
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_node_whose_database_traffic_is_swallowed() {
    run(Engine::Postgres, async |db: TestDb| {
        let mut nodes = nodes(&db, 1).await;
        let port: u16 = port_of(db.url());
        let proxy = Proxy::to(port);
        let url = db.url().replace(&format!(":{port}/"), &format!(":{}/", proxy.port));
        nodes.push(Server::start(&db, &[MORE, &[("DATABASE_URL", &url)]].concat()));
        has_lease(&nodes[1]).await;
        let swallow = || {
            for (weather, millis) in [(Weather::Still, 800), (Weather::Fair, 400)] {
                proxy.set(weather);
                pause(millis);
            }
        };
        let watched = beside(swallow, || watch_ends(&served(&nodes), rounds()));
        proxy.set(Weather::Fair);
        watched.check("database traffic of a node swallowed");
    });
}

fn port_of(url: &str) -> u16 {
    url::Url::parse(url).unwrap().port().unwrap_or(5432)
}

/// A transaction that has notified and is still open, and one that listens, hold up the queue of notifications.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn long_transactions_that_notify_and_listen() {
    run(Engine::Postgres, async |db: TestDb| {
        let nodes = nodes(&db, 2).await;
        let mut other = Psql::open(&db);
        let hold = || {
            other.ask("BEGIN; LISTEN sessile; SELECT pg_notify('sessile', '- x'); SELECT pg_sleep(0.6); COMMIT; UNLISTEN *; SELECT 1");
        };
        beside(hold, || watch_ends(&served(&nodes), rounds())).check("long transactions that notify");
    });
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_failover_between_two_hosts() {
    actix_web::rt::System::new().block_on(async {
        for round in 0..if is_long() { 20 } else { 1 } {
            let (first, _) = Cluster::start();
            let (second, _) = first.standby();
            let hosts = format!("127.0.0.1:{},127.0.0.1:{}", first.port(), second.port());
            let db = TestDb::in_own_postgres(format!("postgres://postgres@{hosts}/postgres"));
            let nodes = nodes(&db, 2).await;
            let over = AtomicBool::new(false);
            let fail_over = || {
                pause(300 + round * 37);
                first.stop_as("fast");
                second.promote();
                over.store(true, Ordering::Relaxed);
            };
            let watched = std::thread::scope(|scope| {
                scope.spawn(fail_over);
                watch_ends_around(&served(&nodes), if is_long() { 50 } else { 5 }, &over)
            });
            watched.check("PostgreSQL failed over");
        }
    });
}
