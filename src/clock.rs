//! The one clock. What is stored is stamped and compared by the database itself; what is kept in memory asks here, and
//! this clock follows the database's: the offset is measured at start and every minute (`db::Db::measure_clock`).
//!
//! Invariant: nothing else in the program asks the machine for the time.

pub mod zone;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};
use std::time::SystemTime;

use crate::db::Instant;

/// The machine's time, corrected to the database's.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_micros: Arc<AtomicI64>,
}

impl Clock {
    /// The present, as the database sees it, give or take the time of one round trip.
    pub fn now(&self) -> Instant {
        Instant::from_micros(machine_micros().saturating_add(self.offset_micros.load(Ordering::Relaxed)))
    }

    /// Corrects the clock: `database` was read between `before` and `after`, both from this clock.
    pub fn correct(&self, before: Instant, database: Instant, after: Instant) {
        let middle = before.micros() / 2 + after.micros() / 2;
        self.offset_micros.fetch_add(database.micros() - middle, Ordering::Relaxed);
    }

    /// How far the machine is behind the database, in microseconds.
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
    use super::*;

    #[test]
    fn follows_a_database_that_is_an_hour_ahead() {
        let clock = Clock::default();
        let before = clock.now();
        let hour = 3_600_000_000;
        clock.correct(before, Instant::from_micros(before.micros() + hour), before);
        assert!((clock.offset_micros() - hour).abs() < 10);
        assert!(clock.now().micros() - before.micros() >= hour - 10);
    }
}
