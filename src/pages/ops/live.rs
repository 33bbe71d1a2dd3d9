//! How many sessions live: counted when metrics are read, but not for every reader.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Stopwatch};

use actix_web::{rt, web::Data};

use crate::records::session::Sessions;

/// Two counts are at least this far apart.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long metrics wait for a count; a later one is in the next answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The last count. All workers share it.
pub struct LiveSessions {
    sessions: Sessions,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    begun: Option<Stopwatch>,
    count: Option<i64>,
}

impl LiveSessions {
    /// Not counted yet.
    pub fn new(sessions: Sessions) -> Self {
        Self { sessions, last: Mutex::default() }
    }

    /// The number as last counted, at most ten seconds ago while the database answers; `None` before it ever did.
    pub async fn count(this: &Data<Self>) -> Option<i64> {
        if this.is_due() {
            let counting = Data::clone(this);
            // On its own, so that a reader who goes away does not make the next one begin again.
            let counted = rt::spawn(async move {
                match counting.sessions.count_live().await {
                    Ok(count) => counting.lock().count = Some(count),
                    Err(error) => tracing::debug!(%error, "live sessions were not counted"),
                }
            });
            let _ = rt::time::timeout(PATIENCE, counted).await;
        }
        this.lock().count
    }

    /// Whether it is this caller's turn.
    fn is_due(&self) -> bool {
        let mut last = self.lock();
        let due = last.begun.is_none_or(|begun| begun.elapsed() >= INTERVAL);
        if due {
            last.begun = Some(Stopwatch::now());
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
