//! Whether a password was given lately enough for what needs one.

use std::time::Duration;

use crate::base::db::Instant;

/// For how long a password that was given counts.
const CONFIRMED_FOR: Duration = Duration::from_secs(600);

/// Whether a password that was given at that time still counts: it is the present one, and not long ago.
pub(super) fn is_fresh(given_at: Instant, changed_at: Instant, now: Instant) -> bool {
    given_at >= changed_at && given_at.age(now).is_some_and(|age| age <= CONFIRMED_FOR)
}
