//! The program's clock, used for state in memory. The database itself stamps and compares stored times. This clock
//! follows the database's clock: the offset is measured at the start, every minute (`db::Db::measure_clock`), and as
//! soon as a time from the database differs by more than two seconds.
//!
//! Between measurements it runs on the monotonic clock, so a jump of the machine's clock alone does not move it.
//!
//! Invariant: no other code reads the machine's wall clock.

pub mod zone;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};
use std::time::{Duration, Instant as Stopwatch, SystemTime};

use tokio::sync::Notify;

use crate::base::instant::{self, Instant};

/// A fresh time from the database may differ by this much before the clock is measured again, because the statement
/// itself may have taken this long.
const UNREMARKABLE: Duration = Duration::from_secs(2);

/// The machine's time plus the measured offset to the database's clock. Clones share the offset.
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
    /// The current time by the database's clock, accurate to one round trip.
    pub fn now(&self) -> Instant {
        let machine = self.began_micros.saturating_add(instant::micros(self.began.elapsed()));
        Instant::from_micros(machine.saturating_add(self.offset_micros.load(Ordering::Relaxed)))
    }

    /// Corrects the clock. `database` was read between `before` and `after`, which are from this clock. Returns the
    /// correction in microseconds, which is negative if the database's clock went back.
    pub fn correct(&self, before: Instant, database: Instant, after: Instant) -> i64 {
        let middle = before.micros() / 2 + after.micros() / 2;
        let moved = database.micros() - middle;
        self.offset_micros.fetch_add(moved, Ordering::Relaxed);
        moved
    }

    /// Compares this clock with a fresh time from the database. If they differ, wakes [`doubted`](Self::doubted).
    pub fn compare(&self, database: Instant) {
        let now = self.now();
        if now.since(database).max(database.since(now)) > UNREMARKABLE {
            self.doubted.notify_one();
        }
    }

    /// Notes that a row held a time in the database's future, and wakes [`doubted`](Self::doubted).
    pub fn meet_future(&self) {
        self.met_future.store(true, Ordering::Relaxed);
        self.doubted.notify_one();
    }

    /// Whether [`meet_future`](Self::meet_future) was called since the last call of this function.
    pub fn has_met_future(&self) -> bool {
        self.met_future.swap(false, Ordering::Relaxed)
    }

    /// Waits until the clock should be measured again.
    pub async fn doubted(&self) {
        self.doubted.notified().await;
    }

    /// The offset in microseconds. Positive if the machine's clock was behind the database's when this clock was
    /// created.
    pub fn offset_micros(&self) -> i64 {
        self.offset_micros.load(Ordering::Relaxed)
    }
}

#[expect(clippy::disallowed_methods, reason = "the only place that reads the wall clock")]
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
        assert_eq!(clock.doubted().now_or_never(), None, "a slow statement does not cause a measurement");
        for jumped in [clock.now().minus(Duration::from_secs(86_400)), clock.now().plus(Duration::from_secs(86_400))] {
            clock.compare(jumped);
            assert_eq!(clock.doubted().now_or_never(), Some(()));
        }
    }
}
