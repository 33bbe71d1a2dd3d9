//! Counts the live sessions for the metrics, at a limited rate. Called by `ops`.
//!
//! Invariant: two counts begin at least ten seconds apart, however many readers there are. With so many sessions that a
//! count takes long, they are further apart, so that counting takes at most a twentieth of the time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Stopwatch};

use actix_web::{rt, web::Data};

use crate::records::session::Sessions;

/// The shortest time between two counts.
const INTERVAL: Duration = Duration::from_secs(10);
/// How many times as long as a count takes passes between two counts.
const SHARE: u32 = 20;
/// How long a metrics request waits for a count. A later result appears in the next answer.
const COUNT_TIMEOUT: Duration = Duration::from_secs(1);

/// The last count, shared by all workers.
pub struct LiveSessions {
    sessions: Sessions,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    begun: Option<Stopwatch>,
    /// How long the last count took, even if it failed.
    took: Duration,
    count: Option<i64>,
}

impl LiveSessions {
    pub fn new(sessions: Sessions) -> Self {
        Self { sessions, last: Mutex::default() }
    }

    /// The last count, usually at most ten seconds old while the database is available. `None` before the first count.
    pub async fn count(this: &Data<Self>) -> Option<i64> {
        if this.is_due() {
            let counting = Data::clone(this);
            // Count in a separate task, so that a reader who disconnects does not cancel it for the next reader.
            let counted = rt::spawn(async move {
                let begun = Stopwatch::now();
                let counted = counting.sessions.count_live().await;
                counting.lock().took = begun.elapsed();
                match counted {
                    Ok(count) => counting.lock().count = Some(count),
                    Err(error) => tracing::debug!(%error, "counting live sessions failed"),
                }
            });
            let _ = rt::time::timeout(COUNT_TIMEOUT, counted).await;
        }
        this.lock().count
    }

    /// Whether a count is due. If so, the caller must start it.
    fn is_due(&self) -> bool {
        let mut last = self.lock();
        let due = last.begun.is_none_or(|begun| begun.elapsed() >= INTERVAL.max(last.took * SHARE));
        if due {
            last.begun = Some(Stopwatch::now());
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
