//! The connection that listens to PostgreSQL is killed repeatedly.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{KIM, SAM, log_out, serve, signed_in, stream::Stream};
use crate::support::{App, Client, Engine, TestDb, eventually, run};

const LISTENERS: &str = "pg_stat_activity WHERE datname = current_database() AND application_name = 'sessile listener'";

fn kill_listeners(db: &TestDb) -> usize {
    db.sql(&format!("SELECT count(pg_terminate_backend(pid)) FROM {LISTENERS}")).parse().expect("a number")
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn streams_survive_a_listener_killed_again_and_again() {
    run(Engine::Postgres, async |db: TestDb| {
        let first = serve(&db);
        let second = App::start(&db, &[]);
        let both = || db.sql(&format!("SELECT count(*) FROM {LISTENERS}")) == "2";
        eventually("both nodes listen", async || both()).await;
        let many = if crate::support::is_long() { 1_000 } else { 200 };
        let clients: Vec<Client> = (0..many).map(|n| signed_in(&first, if n % 2 == 0 { KIM } else { SAM })).collect();
        let ports = [first.port, second.port];
        let (over, killed) = (AtomicBool::new(false), AtomicUsize::new(0));
        let mut times = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    killed.fetch_add(kill_listeners(&db), Ordering::Relaxed);
                }
            });
            let _until_then = Done(&over);
            let mut times = Vec::new();
            for (n, mut client) in clients.into_iter().enumerate() {
                let stream = Stream::open(ports[n % 2], &client);
                log_out(&mut client);
                let ended = Instant::now();
                times.push(stream.ends("logged-out").at.saturating_duration_since(ended));
            }
            times
        });
        times.sort();
        let killed = killed.load(Ordering::Relaxed);
        println!(
            "{many} ends, the listening connections killed {killed} times: p50 {:?}, p99 {:?}, max {:?}",
            super::percentile(&times, 50),
            super::percentile(&times, 99),
            times[times.len() - 1]
        );
        assert!(killed > 20, "{killed}");
        assert!(times[times.len() - 1] < Duration::from_secs(30));
        eventually("both nodes listen again", async || both()).await;
    });
}

/// Sets the flag when dropped, so that the other thread stops even if a check fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
