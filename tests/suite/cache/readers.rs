//! Readers that ask every node for a session again and again while it is ended.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};
use std::time::{Duration, Instant};

use super::KIM;
use crate::support::{Client, Served};

/// Longer than a fault and the ends after it take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The ends of sessions that readers watched.
#[derive(Debug, Default)]
pub struct Watched {
    /// How long each end took until it was acknowledged.
    pub ends: Vec<Duration>,
    /// Ends that were not acknowledged, because the database was away.
    pub unanswered: usize,
    /// Answers before the ends.
    pub live: usize,
    /// Answers with 200 to requests that began after the acknowledgement. There must be none.
    pub stale: Vec<String>,
}

/// A request of a reader: when it began, and the status of its answer.
type Read = (Instant, u16);

/// Begins sessions at the first node and ends them there, while two readers at each node use them.
pub fn watch_ends(nodes: &[&Served], rounds: usize) -> Watched {
    let mut watched = Watched::default();
    for _ in 0..rounds {
        watch_one(nodes, &mut watched);
    }
    watched
}

/// Like [`watch_ends`], until `over` is set and as many ends as `rounds` were acknowledged since.
pub fn watch_ends_around(nodes: &[&Served], rounds: usize, over: &AtomicBool) -> Watched {
    let (mut watched, mut before) = (Watched::default(), None);
    let give_up = Instant::now() + PATIENCE;
    loop {
        if over.load(Ordering::Relaxed) {
            let before = *before.get_or_insert(watched.ends.len());
            if watched.ends.len() >= before + rounds {
                return watched;
            }
        }
        assert!(Instant::now() < give_up, "too few ends were acknowledged: {watched:?}");
        watch_one(nodes, &mut watched);
    }
}

fn watch_one(nodes: &[&Served], watched: &mut Watched) {
    let mut client = nodes[0].client();
    if client.try_log_in(KIM, crate::support::PASSWORD).status != 200 || !is_remembered(nodes, &client) {
        watched.unanswered += 1;
        return;
    }
    let (stop, reads) = (AtomicBool::new(false), Mutex::new(Vec::<Read>::new()));
    let acknowledged = std::thread::scope(|scope| {
        for node in nodes.iter().flat_map(|node| [node, node]) {
            let mut reader = on(node, &client);
            let (stop, reads) = (&stop, &reads);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let Ok(answer) = reader.try_send("GET", "/api/session", &[], b"") else { continue };
                    reads.lock().unwrap().push((began, answer.status));
                }
            });
        }
        let began = Instant::now();
        let ended = client.try_send("DELETE", "/api/session", &[], b"").map(|answer| answer.status);
        let acknowledged = Instant::now();
        // Each node is asked once more after the end.
        for node in nodes {
            let mut reader = on(node, &client);
            let began = Instant::now();
            if let Ok(answer) = reader.try_send("GET", "/api/session", &[], b"") {
                reads.lock().unwrap().push((began, answer.status));
            }
        }
        stop.store(true, Ordering::Relaxed);
        match ended {
            Ok(204) => Some((began, acknowledged)),
            _ => None,
        }
    });
    let reads = reads.into_inner().unwrap();
    watched.live += reads.iter().filter(|(_, status)| *status == 200).count();
    let Some((began, acknowledged)) = acknowledged else {
        watched.unanswered += 1;
        return;
    };
    watched.ends.push(acknowledged - began);
    let is_stale = |(began, status): &&Read| *status == 200 && *began > acknowledged;
    let stale = reads.iter().filter(is_stale).map(|(began, _)| format!("{:?} after the end", *began - acknowledged));
    watched.stale.extend(stale);
}

/// Makes every node remember the session, if it answers.
fn is_remembered(nodes: &[&Served], client: &Client) -> bool {
    nodes.iter().all(|node| {
        let mut reader = on(node, client);
        (0..2).all(|_| reader.try_send("GET", "/api/session", &[], b"").is_ok_and(|answer| answer.status == 200))
    })
}

fn on(node: &Served, client: &Client) -> Client {
    let mut there = node.client();
    there.cookies = client.cookies.clone();
    there
}

impl Watched {
    /// The time within which this share of the ends was acknowledged.
    pub fn percentile(&self, share: f64) -> Duration {
        let mut ends = self.ends.clone();
        ends.sort();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let at = (ends.len().saturating_sub(1) as f64 * share) as usize;
        ends.get(at).copied().unwrap_or_default()
    }

    /// Fails if an answer was stale. Prints the line of the table.
    pub fn check(&self, what: &str) {
        let (p50, p99, most) = (self.percentile(0.5), self.percentile(0.99), self.percentile(1.0));
        println!(
            "| {what} | {} | {} | {} | {} | {:.1} | {:.1} | {:.1} |",
            self.ends.len(),
            self.unanswered,
            self.live,
            self.stale.len(),
            p50.as_secs_f64() * 1e3,
            p99.as_secs_f64() * 1e3,
            most.as_secs_f64() * 1e3
        );
        assert!(self.stale.is_empty(), "{what}: {:?}", self.stale);
        assert!(!self.ends.is_empty(), "{what}: no end was acknowledged");
    }
}
