//! Logs the failures of a repeated operation: one line for the first failure, then one line a minute with the count,
//! and one line when the operation succeeds again. Used by every background loop.
//!
//! Invariant: an operation that keeps failing logs at most one line a minute.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Shortest time between two log lines about the same outage.
const QUIET: Duration = Duration::from_secs(60);

/// Tracks whether one operation is failing, and when that was last logged.
#[derive(Debug)]
pub struct Outage {
    operation: &'static str,
    since: Option<Instant>,
    last_logged: Option<Instant>,
    failures: u64,
}

impl Outage {
    /// `operation` names the operation in log lines.
    pub const fn new(operation: &'static str) -> Self {
        Self { operation, since: None, last_logged: None, failures: 0 }
    }

    /// Records a failure, and logs it unless a line was logged within the last minute.
    pub fn failed(&mut self, cause: &dyn Display) {
        if let Some(failures) = self.count_failure(Instant::now()) {
            tracing::warn!(%cause, failures, "{} failed", self.operation);
        }
    }

    /// Records a success, and logs the end of the outage if there was one.
    pub fn over(&mut self) {
        if let Some(since) = self.since.take() {
            let (failures, seconds) = (self.failures, since.elapsed().as_secs());
            tracing::info!(failures, seconds, "{} works again", self.operation);
        }
        (self.last_logged, self.failures) = (None, 0);
    }

    /// Records the result, and returns its value if the operation succeeded.
    pub fn see<T, E: Display>(&mut self, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => {
                self.over();
                Some(value)
            }
            Err(cause) => {
                self.failed(&cause);
                None
            }
        }
    }

    /// Counts a failure. Returns the number of failures if a line is due.
    fn count_failure(&mut self, now: Instant) -> Option<u64> {
        self.failures += 1;
        self.since.get_or_insert(now);
        let quiet = self.last_logged.is_some_and(|logged| now.saturating_duration_since(logged) < QUIET);
        if quiet {
            return None;
        }
        self.last_logged = Some(now);
        Some(self.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_logged_at_once_and_then_one_line_a_minute() {
        let (mut outage, start) = (Outage::new("test"), Instant::now());
        let logged: Vec<_> = (0..260)
            .filter_map(|half_seconds| {
                let now = start + Duration::from_millis(500) * half_seconds;
                outage.count_failure(now).map(|failures| (half_seconds, failures))
            })
            .collect();
        assert_eq!(logged, [(0, 1), (120, 121), (240, 241)]);
        outage.over();
        assert_eq!(outage.count_failure(start), Some(1), "a new outage is logged at once");
    }
}
