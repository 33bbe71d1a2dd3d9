//! When a session is live, said once for all statements.
//!
//! A session is live while its row has no end and its time has not run out by the database's clock. Between the moment in
//! which the time runs out and the sweep, a row has expired but has no end yet: [`is_live`] leaves it out, [`has_not_ended`]
//! does not.
//!
//! Invariant: no other statement compares `ended_at`, or `expires_at` with the present.

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _,
    dsl::{And, Gt, IsNotNull, IsNull, LtEq, Nullable},
};

use super::lifetimes::REMEMBERED;
use crate::base::db::{Instant, Now, before_now, now, schema::sessions};

/// Not ended and not expired: whoever has the key may act.
pub(super) fn is_live() -> And<IsNull<sessions::ended_at>, Gt<sessions::expires_at, Now>> {
    has_not_ended().and(sessions::expires_at.gt(now()))
}

/// Not ended, expired or not. For locks, which hold every row that the sweep or a late touch could still change; for writes
/// to a row that is locked already; and for devices, which stay while a row still leads to them.
pub(super) fn has_not_ended() -> IsNull<sessions::ended_at> {
    sessions::ended_at.is_null()
}

/// Not ended, but the time has run out: to be ended as expired.
pub(super) fn has_expired() -> And<IsNull<sessions::ended_at>, LtEq<sessions::expires_at, Now>> {
    has_not_ended().and(sessions::expires_at.le(now()))
}

/// Ended, for whatever reason.
pub(super) fn has_ended() -> IsNotNull<sessions::ended_at> {
    sessions::ended_at.is_not_null()
}

/// Ended so long ago that the row is deleted.
pub(super) fn is_forgotten() -> LtEq<sessions::ended_at, Nullable<Now>> {
    sessions::ended_at.le(before_now(REMEMBERED).nullable())
}

/// Whether the time of a session that has not ended had run out at `now`, the database's time of the same read.
pub(super) fn has_run_out(expires_at: Instant, now: Instant) -> bool {
    expires_at <= now
}
