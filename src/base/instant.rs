//! A point in time for both engines: `timestamptz` in PostgreSQL, INTEGER microseconds in SQLite. Used for every stored
//! time.
//!
//! Invariant: the value is UTC. The connection's `TimeZone` has no effect, because PostgreSQL sends and accepts
//! microseconds in binary.

use std::time::Duration;

use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    serialize::{self, IsNull, Output, ToSql},
    sqlite::{Sqlite, SqliteValue},
};

use crate::base::rfc3339::{self, Fraction};

/// The SQL type of [`Instant`].
pub mod sql {
    #[derive(diesel::query_builder::QueryId, diesel::sql_types::SqlType, Debug, Clone, Copy)]
    #[diesel(postgres_type(oid = 1184, array_oid = 1185))]
    #[diesel(sqlite_type(name = "Long"))]
    pub struct Instant;
    impl diesel::sql_types::SqlOrd for Instant {}
}

/// A point in time, in microseconds since 1970 (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = sql::Instant)]
pub struct Instant(i64);

/// How far in the future a stored time may be and still count as now. A later time came from a wrong clock.
pub const CLOCKS_DIFFER: Duration = Duration::from_secs(5);

/// PostgreSQL's epoch, 2000-01-01, in microseconds since 1970.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

impl Instant {
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }

    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The age of this stored time at `now`. A time that is ahead by at most [`CLOCKS_DIFFER`] has age zero. A time
    /// further in the future was stored by a wrong clock, so its age is unknown: `None`.
    pub fn age(self, now: Self) -> Option<Duration> {
        (self <= now.plus(CLOCKS_DIFFER)).then(|| now.since(self))
    }

    /// For calendar arithmetic. A value out of range becomes the nearest valid timestamp.
    pub fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }

    /// RFC 3339 in UTC with milliseconds, the format of the API.
    pub fn rfc3339(self) -> String {
        rfc3339::text(self.0, Fraction::Millis)
    }
}

impl serde::Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc3339())
    }
}

pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl ToSql<sql::Instant, Pg> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        std::io::Write::write_all(out, &(self.0 - POSTGRES_EPOCH).to_be_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<sql::Instant, Pg> for Instant {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(i64::from_be_bytes(value.as_bytes().try_into()?) + POSTGRES_EPOCH))
    }
}

impl ToSql<sql::Instant, Sqlite> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0);
        Ok(IsNull::No)
    }
}

impl FromSql<sql::Instant, Sqlite> for Instant {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        <i64 as FromSql<diesel::sql_types::BigInt, Sqlite>>::from_sql(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_the_future_has_no_age() {
        let now = Instant::from_micros(1_795_460_400_000_000);
        let second = Duration::from_secs(1);
        assert_eq!(now.minus(second).age(now), Some(second));
        assert_eq!(now.plus(second).age(now), Some(Duration::ZERO));
        assert_eq!(now.plus(second * 6).age(now), None);
    }

    #[test]
    fn the_api_writes_utc_with_milliseconds() {
        assert_eq!(Instant::from_micros(1_795_460_400_123_456).rfc3339(), "2026-11-23T19:00:00.123Z");
        assert_eq!(Instant::from_micros(0).rfc3339(), "1970-01-01T00:00:00.000Z");
    }
}
