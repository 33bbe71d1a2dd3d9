//! Something that is tried again and again: one line in the log when it begins to fail, then one a minute with the count,
//! and one when it works again. Used by every loop in the background.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Between two lines about the same failure.
const QUIET: Duration = Duration::from_secs(60);

/// Whether one kind of work fails just now, and what the log knows of it.
#[derive(Debug)]
pub struct Outage {
    operation: &'static str,
    since: Option<Instant>,
    told: Option<Instant>,
    failures: u64,
}

impl Outage {
    /// Of work that has not failed yet; `operation` names it as the log does.
    pub const fn new(operation: &'static str) -> Self {
        Self { operation, since: None, told: None, failures: 0 }
    }

    /// It failed, for this cause.
    pub fn failed(&mut self, cause: &dyn Display) {
        if let Some(failures) = self.count_failure(Instant::now()) {
            tracing::warn!(%cause, failures, "{} failed", self.operation);
        }
    }

    /// It worked.
    pub fn over(&mut self) {
        if let Some(since) = self.since.take() {
            let (failures, seconds) = (self.failures, since.elapsed().as_secs());
            tracing::info!(failures, seconds, "{} works again", self.operation);
        }
        (self.told, self.failures) = (None, 0);
    }

    /// It worked, or failed for this cause.
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

    /// How often it has failed, if that is to be told now.
    fn count_failure(&mut self, now: Instant) -> Option<u64> {
        self.failures += 1;
        self.since.get_or_insert(now);
        let quiet = self.told.is_some_and(|told| now.saturating_duration_since(told) < QUIET);
        if quiet {
            return None;
        }
        self.told = Some(now);
        Some(self.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_told_at_once_and_then_one_line_a_minute() {
        let (mut outage, start) = (Outage::new("test"), Instant::now());
        let told: Vec<_> = (0..260)
            .filter_map(|half_seconds| {
                let now = start + Duration::from_millis(500) * half_seconds;
                outage.count_failure(now).map(|failures| (half_seconds, failures))
            })
            .collect();
        assert_eq!(told, [(0, 1), (120, 121), (240, 241)]);
        outage.over();
        assert_eq!(outage.count_failure(start), Some(1), "a new outage is told at once");
    }
}
