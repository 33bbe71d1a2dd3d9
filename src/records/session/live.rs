//! The SQL conditions for live, expired and ended sessions. Used by every statement on sessions.
//!
//! A session is live while its row has no `ended_at`, its `expires_at` is in the future by the database's clock, and it
//! belongs to the current generation. Between its expiry and the next sweep, a session has expired but has not ended:
//! [`is_live`] excludes it, and [`has_not_ended`] includes it. The same is true of an outdated session, until
//! [`generation`](super::generation) ends its row.
//!
//! Invariant: no other statement compares `ended_at` or `generation`, or compares `expires_at` with the current time.

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _,
    dsl::{And, Eq, Gt, GtEq, IsNotNull, IsNull, Lt, LtEq, Nullable},
};

use super::lifetimes::REMEMBERED;
use crate::base::db::{
    CurrentGeneration, Instant, IsOfCurrentGeneration, Now, ShiftedNow, before_now, now, schema::sessions,
};

/// Not ended, and of the current generation.
type OfGeneration = And<IsNull<sessions::ended_at>, IsOfCurrentGeneration>;

/// Neither ended nor outdated nor expired: the session's key grants access.
pub(super) fn is_live() -> And<OfGeneration, Gt<sessions::expires_at, Now>> {
    has_not_ended().and(IsOfCurrentGeneration).and(sessions::expires_at.gt(now()))
}

/// Not ended, and of this generation.
type OfThisGeneration = And<IsNull<sessions::ended_at>, Eq<sessions::generation, i64>>;

/// Like [`is_live`], but takes the current generation as a value, so that both engines use the index on it.
pub(super) fn is_live_in(generation: i64) -> And<OfThisGeneration, Gt<sessions::expires_at, Now>> {
    has_not_ended().and(sessions::generation.eq(generation)).and(sessions::expires_at.gt(now()))
}

/// Neither outdated nor expired, whether ended or not.
pub(super) fn is_valid() -> And<Gt<sessions::expires_at, Now>, IsOfCurrentGeneration> {
    sessions::expires_at.gt(now()).and(IsOfCurrentGeneration)
}

/// Of a generation before the current one, whether ended or not.
pub(super) fn is_of_earlier_generation() -> Lt<sessions::generation, CurrentGeneration> {
    sessions::generation.lt(CurrentGeneration)
}

/// Outdated: all sessions were ended at once since it began, but its row has not ended yet.
pub(super) fn is_outdated() -> And<IsNull<sessions::ended_at>, Lt<sessions::generation, CurrentGeneration>> {
    has_not_ended().and(is_of_earlier_generation())
}

/// Not ended, whether expired or not. Used for locks, which must include every row that the sweep or a late touch could
/// change; for writes to a row that is already locked; and for devices, which are kept while they have such a session.
pub(super) fn has_not_ended() -> IsNull<sessions::ended_at> {
    sessions::ended_at.is_null()
}

/// Expired but not ended yet. An outdated session does not expire: it was ended by an operator.
pub(super) fn has_expired() -> And<OfGeneration, LtEq<sessions::expires_at, Now>> {
    has_not_ended().and(IsOfCurrentGeneration).and(sessions::expires_at.le(now()))
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
