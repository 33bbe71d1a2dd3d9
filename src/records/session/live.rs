//! The SQL conditions for live, expired and ended sessions. Used by every statement on sessions.
//!
//! A session is live while its row has no `ended_at` and its `expires_at` is in the future by the database's clock.
//! Between its expiry and the next sweep, a session has expired but has not ended: [`is_live`] excludes it, and
//! [`has_not_ended`] includes it.
//!
//! Invariant: no other statement compares `ended_at`, or compares `expires_at` with the current time.

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _,
    dsl::{And, Gt, GtEq, IsNotNull, IsNull, LtEq, Nullable},
};

use super::lifetimes::REMEMBERED;
use crate::base::db::{Instant, Now, ShiftedNow, before_now, now, schema::sessions};

/// Neither ended nor expired: the session's key grants access.
pub(super) fn is_live() -> And<IsNull<sessions::ended_at>, Gt<sessions::expires_at, Now>> {
    has_not_ended().and(expires_later())
}

/// Not expired yet, whether ended or not.
pub(super) fn expires_later() -> Gt<sessions::expires_at, Now> {
    sessions::expires_at.gt(now())
}

/// Not ended, whether expired or not. Used for locks, which must include every row that the sweep or a late touch could
/// change; for writes to a row that is already locked; and for devices, which are kept while they have such a session.
pub(super) fn has_not_ended() -> IsNull<sessions::ended_at> {
    sessions::ended_at.is_null()
}

/// Expired but not ended yet.
pub(super) fn has_expired() -> And<IsNull<sessions::ended_at>, LtEq<sessions::expires_at, Now>> {
    has_not_ended().and(sessions::expires_at.le(now()))
}

/// Ended, for any reason.
pub(super) fn has_ended() -> IsNotNull<sessions::ended_at> {
    sessions::ended_at.is_not_null()
}

/// Ended at `from` or later.
pub(super) fn ended_from(from: Instant) -> GtEq<sessions::ended_at, Option<Instant>> {
    sessions::ended_at.ge(Some(from))
}

/// Ended later than `at`.
pub(super) fn ended_after(at: Instant) -> Gt<sessions::ended_at, Option<Instant>> {
    sessions::ended_at.gt(Some(at))
}

/// Ended so long ago that the row can be deleted.
pub(super) fn is_forgotten() -> LtEq<sessions::ended_at, Nullable<ShiftedNow>> {
    sessions::ended_at.le(before_now(REMEMBERED).nullable())
}

/// Whether a session that has not ended had expired at `now`, the database's time in the same read.
pub(super) fn has_run_out(expires_at: Instant, now: Instant) -> bool {
    expires_at <= now
}
