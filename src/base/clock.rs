//! The one clock. What is stored is stamped and compared by the database itself; what is kept in memory asks here, and
//! this clock follows the database's: the offset is measured at start, every minute (`db::Db::measure_clock`), and as soon as
//! a time that the database has told differs.
//!
//! Between measurements it runs on the monotonic clock, so a jump of the machine's clock moves it only together with the
//! database's.
//!
//! Invariant: nothing else in the program asks the machine for the time.

pub mod zone;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};
use std::time::{Duration, Instant as Stopwatch, SystemTime};

use tokio::sync::Notify;

use crate::base::instant::{self, Instant};

/// A time that the database told a moment ago may differ this much without a reason to measure again: a statement may have
/// taken as long.
const UNREMARKABLE: Duration = Duration::from_secs(2);

/// The machine's time, corrected to the database's. Clones share the correction.
#[derive(Debug, Clone)]
pub struct Clock {
    began: Stopwatch,
    began_micros: i64,
    offset_micros: Arc<AtomicI64>,
    doubted: Arc<Notify>,
    met_future: Arc<AtomicBool>,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            began: Stopwatch::now(),
            began_micros: machine_micros(),
            offset_micros: Arc::default(),
            doubted: Arc::default(),
            met_future: Arc::default(),
        }
    }
}

impl Clock {
    /// The present, as the database sees it, give or take the time of one round trip.
    pub fn now(&self) -> Instant {
        let machine = self.began_micros.saturating_add(instant::micros(self.began.elapsed()));
        Instant::from_micros(machine.saturating_add(self.offset_micros.load(Ordering::Relaxed)))
    }

    /// Corrects the clock: `database` was read between `before` and `after`, both from this clock. How many microseconds it
    /// was moved by: fewer than none if the database's clock went back.
    pub fn correct(&self, before: Instant, database: Instant, after: Instant) -> i64 {
        let middle = before.micros() / 2 + after.micros() / 2;
        let moved = database.micros() - middle;
        self.offset_micros.fetch_add(moved, Ordering::Relaxed);
        moved
    }

    /// Compares this clock with a time that the database has just told. If they differ, [`doubted`](Self::doubted) returns.
    pub fn compare(&self, database: Instant) {
        let now = self.now();
        if now.since(database).max(database.since(now)) > UNREMARKABLE {
            self.doubted.notify_one();
        }
    }

    /// Notes that a row was read with a time in the database's future: [`doubted`](Self::doubted) returns.
    pub fn meet_future(&self) {
        self.met_future.store(true, Ordering::Relaxed);
        self.doubted.notify_one();
    }

    /// Whether such a row was read since this was last asked.
    pub fn has_met_future(&self) -> bool {
        self.met_future.swap(false, Ordering::Relaxed)
    }

    /// Waits until a comparison fails.
    pub async fn doubted(&self) {
        self.doubted.notified().await;
    }

    /// How far the machine was behind the database when this clock was made, in microseconds.
    pub fn offset_micros(&self) -> i64 {
        self.offset_micros.load(Ordering::Relaxed)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
fn machine_micros() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn follows_a_database_that_is_an_hour_ahead() {
        let clock = Clock::default();
        let before = clock.now();
        let hour = 3_600_000_000;
        let moved = clock.correct(before, Instant::from_micros(before.micros() + hour), before);
        assert!((clock.offset_micros() - hour).abs() < 10 && (moved - hour).abs() < 10);
        assert!(clock.now().micros() - before.micros() >= hour - 10);
    }

    #[test]
    fn a_database_whose_clock_jumped_is_noticed_and_followed() {
        let clock = Clock::default();
        clock.compare(clock.now().minus(Duration::from_secs(1)));
        assert_eq!(clock.doubted().now_or_never(), None, "a slow statement is no reason");
        for jumped in [clock.now().minus(Duration::from_secs(86_400)), clock.now().plus(Duration::from_secs(86_400))] {
            clock.compare(jumped);
            assert_eq!(clock.doubted().now_or_never(), Some(()));
        }
    }
}
