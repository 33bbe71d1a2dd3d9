//! Decides whether the password was entered recently enough for an action that requires it.

use std::time::Duration;

use crate::base::db::Instant;

/// How long an entry of the password stays valid.
const CONFIRMED_FOR: Duration = Duration::from_secs(600);

/// Whether an entry of the password is still valid: it is recent, and the password has not changed since.
pub(super) fn is_fresh(given_at: Instant, changed_at: Instant, now: Instant) -> bool {
    given_at >= changed_at && given_at.age(now).is_some_and(|age| age <= CONFIRMED_FOR)
}
