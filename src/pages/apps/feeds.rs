//! The open streams to apps' servers. Those of one app share its [`Tail`].
//!
//! Invariant: an app has at most [`MOST`] streams on this node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::tail::Tail;
use crate::base::{
    error::{Error, Result},
    metrics::Metrics,
};

const MOST: usize = 16;
/// `Retry-After` for an app that has too many streams.
const NEXT_TRY: Duration = Duration::from_secs(5);
/// How far back a stream can be resumed.
pub const RESUMABLE: Duration = Duration::from_secs(24 * 3600);
/// The shortest time to allow between the time of an end and its commit.
const SHORTEST_OVERLAP: Duration = Duration::from_secs(5 * 60);
/// The statements that a transaction may still carry out, each up to its deadline, after the time of an end is taken.
const LATER_STATEMENTS: u32 = 20;

/// The open streams by app. Cheap to clone; all clones share them.
#[derive(Clone)]
pub struct Feeds {
    apps: Arc<Mutex<HashMap<String, Shared>>>,
    overlap: Duration,
    metrics: Metrics,
}

#[derive(Debug)]
struct Shared {
    streams: usize,
    tail: Arc<tokio::sync::Mutex<Tail>>,
}

/// An open stream. It is counted until this is dropped.
pub struct Feed {
    feeds: Feeds,
    app_id: String,
    pub tail: Arc<tokio::sync::Mutex<Tail>>,
}

impl Feeds {
    /// `statement_timeout` is the deadline of a statement in the database.
    pub fn new(statement_timeout: Duration, metrics: Metrics) -> Self {
        let overlap = statement_timeout.saturating_mul(LATER_STATEMENTS).clamp(SHORTEST_OVERLAP, RESUMABLE);
        Self { apps: Arc::default(), overlap, metrics }
    }

    /// How long after its time an end may be committed. Transactions have no deadline, but each of their statements has.
    pub fn overlap(&self) -> Duration {
        self.overlap
    }

    /// # Errors
    /// [`Error::TooFast`] if the app has too many streams.
    pub fn open(&self, app_id: &str) -> Result<Feed> {
        let mut apps = self.lock();
        let new = || Shared { streams: 0, tail: Arc::new(tokio::sync::Mutex::new(Tail::new(self.overlap))) };
        let shared = apps.entry(app_id.to_owned()).or_insert_with(new);
        if shared.streams >= MOST {
            return Err(Error::TooFast(NEXT_TRY));
        }
        shared.streams += 1;
        self.metrics.app_stream_opened();
        Ok(Feed { feeds: self.clone(), app_id: app_id.to_owned(), tail: shared.tail.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Shared>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.feeds.metrics.app_stream_closed();
        let mut apps = self.feeds.lock();
        if let Some(shared) = apps.get_mut(&self.app_id) {
            shared.streams -= 1;
            if shared.streams == 0 {
                apps.remove(&self.app_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_has_at_most_sixteen_streams() {
        let feeds = Feeds::new(Duration::from_secs(3), Metrics::default());
        let mut open: Vec<Feed> = (0..MOST).map(|_| feeds.open("app_1").unwrap()).collect();
        assert!(matches!(feeds.open("app_1"), Err(Error::TooFast(_))));
        assert!(feeds.open("app_2").is_ok());
        open.pop();
        open.push(feeds.open("app_1").unwrap());
        drop(open);
        assert!(feeds.lock().is_empty());
    }

    #[test]
    fn the_overlap_follows_the_deadline_of_statements() {
        let overlap = |seconds| Feeds::new(Duration::from_secs(seconds), Metrics::default()).overlap();
        assert_eq!([3, 60, 3_000_000].map(overlap), [SHORTEST_OVERLAP, Duration::from_secs(1_200), RESUMABLE]);
    }
}
