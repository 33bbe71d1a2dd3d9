//! What the dashboard and the activity page show of an account, in one statement. Called by these pages.
//!
//! Invariant: every part of the statement filters by account, and returns at most a fixed number of rows beside the
//! account's live sessions.

use std::time::Duration;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _, NullableExpressionMethods as _, QueryDsl as _,
    TextExpressionMethods as _,
};

use super::{
    arrivals::{self, Arrivals},
    listing::own_device,
    live::is_live,
    record::Record,
    who::Who,
};
use crate::{
    base::{
        db::{
            Conn, Instant, Together, apart, columns, first_of, is_word, run,
            schema::{audit, devices, sessions},
        },
        error::Result,
    },
    records::{
        audit::{Kind, Recorded},
        device::{
            Device,
            arrivals::{MOST_NEW, unacknowledged},
        },
    },
};

/// Maximum number of events read.
pub const MOST_EVENTS: u16 = 41;
/// Maximum number of sign-ins read, of the successful and of the failed ones each.
const MOST_SIGN_INS: u16 = 1000;
/// The age of the oldest sign-in that is returned.
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// What the pages show of an account.
pub struct Overview {
    /// The live sessions with the names of their devices, newest activity first.
    pub living: Vec<(Record, Option<String>)>,
    /// The events that were [`Wanted`], newest first: at most [`MOST_EVENTS`].
    pub events: Vec<Recorded>,
    /// The devices in `events` that the account still has.
    pub existing_devices: Vec<String>,
    /// The successful and failed sign-ins of the last seven days: at most the newest 1,000 of each.
    pub sign_ins: Vec<(Kind, Instant)>,
    pub arrivals: Arrivals,
}

/// Which events to read.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    /// All before this event, or the newest ones.
    Before(Option<i64>),
    /// The newest ones, without those that only say that drafts were saved. An account has at most one of these in ten
    /// minutes, and a sign-in at least once in the longest life of a session, so few rows are skipped.
    Notable,
}

impl Wanted {
    fn before(self) -> i64 {
        match self {
            Self::Before(Some(before)) => before,
            Self::Before(None) | Self::Notable => i64::MAX,
        }
    }

    /// The kind that is left out, as stored; empty for none.
    fn without(self) -> &'static str {
        match self {
            Self::Before(_) => "",
            Self::Notable => Kind::SyncApplied.as_str(),
        }
    }
}

type Row = (
    Option<(Record, Option<String>)>,
    Option<(Recorded, Option<String>)>,
    Option<(Kind, Instant)>,
    Option<(Kind, Instant)>,
    Option<Device>,
);

/// Reads the overview for the session in use. `now` is the database's time.
pub async fn read(conn: &mut Conn<'_>, who: &Who, wanted: Wanted, now: Instant) -> Result<Overview> {
    let account_id = who.account_id.as_str();
    let of_kind = |kind| audit::table.filter(audit::account_id.eq(account_id)).filter(audit::kind.eq(kind));
    let device_of_event = audit::account_id
        .eq(devices::account_id)
        .and(audit::device_id.eq(devices::id.nullable()))
        .and(devices::forgotten_at.is_null());
    let rows: Vec<Row> = run!(
        conn,
        load(Together((
            sessions::table
                .left_join(devices::table.on(own_device()))
                .filter(sessions::account_id.eq(account_id))
                .filter(is_live())
                .select((columns::<Record>(), devices::name.nullable()).nullable()),
            // See `audit::newest_before`.
            first_of::<MOST_EVENTS, _>(
                audit::table
                    .left_join(devices::table.on(device_of_event))
                    .filter(audit::account_id.eq(account_id))
                    .filter(audit::id.lt(wanted.before()))
                    .filter(is_word::<Kind, _>(audit::kind.concat("")))
                    .filter(audit::kind.concat("").ne(wanted.without()))
                    .order(audit::id.desc())
                    .select((columns::<Recorded>(), devices::id.nullable()).nullable())
            ),
            // No index covers both the account and the time, so the rows are limited and their times compared below.
            first_of::<MOST_SIGN_INS, _>(
                of_kind(Kind::LoginSucceeded).order(audit::id.desc()).select((audit::kind, audit::at).nullable())
            ),
            first_of::<MOST_SIGN_INS, _>(
                of_kind(Kind::LoginFailed).order(audit::id.desc()).select((audit::kind, audit::at).nullable())
            ),
            first_of::<MOST_NEW, _>(unacknowledged(account_id).select(columns::<Device>().nullable())),
        )))
    )?;
    let (mut living, mut events, succeeded, failed, new) = apart(rows);
    living.sort_by(|(a, _), (b, _)| b.last_activity.cmp(&a.last_activity).then_with(|| a.id.cmp(&b.id)));
    events.sort_by_key(|(event, _)| std::cmp::Reverse(event.id));
    let (events, devices): (Vec<Recorded>, Vec<Option<String>>) = events.into_iter().unzip();
    Ok(Overview {
        living,
        events,
        existing_devices: devices.into_iter().flatten().collect(),
        sign_ins: succeeded.into_iter().chain(failed).filter(|(_, at)| *at > now.minus(WEEK)).collect(),
        arrivals: arrivals::of(conn, account_id, who.device_id.as_deref(), new).await?,
    })
}
