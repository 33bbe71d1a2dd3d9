//! Reads of sessions beyond the one that a request loads: whose they are, on which device, which are idle longest. Called by
//! pages, API, commands, and by what ends sessions.
//!
//! Invariant: every read of one account's sessions names the account.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _, NullableExpressionMethods as _, QueryDsl as _,
    SelectableHelper as _,
};

use super::{
    ended::{EndReason, Ended},
    live::{has_not_ended, has_run_out, is_live},
    record::{Record, SessionRef},
};
use crate::{
    base::{
        db::{
            Conn, ForUpdate, Instant, LivingAnd, find, now, run,
            schema::{accounts, devices, sessions},
        },
        error::Result,
    },
    records::account::Account,
};

/// The session's device, which may be gone.
#[diesel::dsl::auto_type(no_type_alias)]
pub(super) fn own_device() -> _ {
    sessions::account_id.eq(devices::account_id).and(sessions::device_id.eq(devices::id.nullable()))
}

/// A session of the account, living or not, with the name of its device.
///
/// # Errors
/// When the database is away.
pub async fn one(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<(Record, Option<String>)>> {
    find!(
        conn,
        first(
            sessions::table
                .left_join(devices::table.on(own_device()))
                .filter(sessions::account_id.eq(account_id))
                .filter(sessions::id.eq(id))
                .select((Record::as_select(), devices::name.nullable()))
        )
    )
}

/// The living sessions of one device; a session whose device is not known stands alone.
#[derive(Debug)]
pub struct SignedIn<'a> {
    /// The one that was used last.
    pub newest: &'a Record,
    /// What the device is called.
    pub device_name: Option<&'a str>,
    /// How many there are.
    pub sessions: usize,
}

impl SignedIn<'_> {
    /// Whether a session is on this device.
    pub fn is_of(&self, record: &Record) -> bool {
        self.newest.id == record.id || (record.device_id.is_some() && self.newest.device_id == record.device_id)
    }
}

/// Living sessions by device, in the order given, which is by activity.
pub fn by_device(living: &[(Record, Option<String>)]) -> Vec<SignedIn<'_>> {
    let mut devices: Vec<SignedIn<'_>> = Vec::new();
    for (record, name) in living {
        match devices.iter_mut().find(|device| device.is_of(record)) {
            Some(device) => device.sessions += 1,
            None => devices.push(SignedIn { newest: record, device_name: name.as_deref(), sessions: 1 }),
        }
    }
    devices
}

/// Those of these sessions that are the account's, living or not, with their devices.
///
/// # Errors
/// When the database is away.
pub async fn devices_of(
    conn: &mut Conn<'_>,
    account_id: &str,
    ids: &BTreeSet<&str>,
) -> Result<BTreeMap<String, Option<String>>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<&str> = ids.iter().copied().collect();
    let rows: Vec<(String, Option<String>)> = run!(
        conn,
        load(
            sessions::table
                .filter(sessions::id.eq_any(ids))
                .filter(sessions::account_id.eq(account_id))
                .select((sessions::id, sessions::device_id))
        )
    )?;
    Ok(rows.into_iter().collect())
}

/// Whether a session of the account lives.
///
/// # Errors
/// When the database is away.
pub async fn lives(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<bool> {
    let one: Option<String> = find!(
        conn,
        first(
            sessions::table
                .filter(sessions::account_id.eq(account_id))
                .filter(sessions::id.eq(id))
                .filter(is_live())
                .select(sessions::id)
        )
    )?;
    Ok(one.is_some())
}

/// The sessions of an account that have not ended, locked in the order of their ids.
///
/// # Errors
/// When the database is away.
pub async fn lock_living(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<String>> {
    run!(
        conn,
        load(ForUpdate::wait(
            sessions::table
                .filter(sessions::account_id.eq(account_id))
                .filter(has_not_ended())
                .order(sessions::id)
                .select(sessions::id)
        ))
    )
}

/// The same with one more session, which may be another account's, to end it together with some of the account's. ForUpdate in
/// the order of accounts, then of ids.
///
/// # Errors
/// When the database is away.
pub async fn lock_living_and(conn: &mut Conn<'_>, account_id: &str, also: &SessionRef) -> Result<()> {
    let also = (also.account_id.as_str(), also.id.as_str());
    let _: Vec<String> = run!(conn, load(LivingAnd { account_id, also }))?;
    Ok(())
}

/// Of the account's living sessions those on one device.
///
/// # Errors
/// When the database is away.
pub async fn on_device(conn: &mut Conn<'_>, account_id: &str, device_id: &str) -> Result<Vec<String>> {
    run!(
        conn,
        load(
            sessions::table
                .filter(sessions::account_id.eq(account_id))
                .filter(sessions::device_id.eq(device_id))
                .filter(has_not_ended())
                .order(sessions::id)
                .select(sessions::id)
        )
    )
}

/// The living sessions of an account but this one, idle longest first.
///
/// # Errors
/// When the database is away.
pub async fn idlest(conn: &mut Conn<'_>, account_id: &str, but: &str) -> Result<Vec<String>> {
    run!(
        conn,
        load(
            sessions::table
                .filter(sessions::account_id.eq(account_id))
                .filter(sessions::id.ne(but))
                .filter(is_live())
                .order((sessions::last_activity, sessions::id))
                .select(sessions::id)
        )
    )
}

/// An account as a list of all is made from: since when it is there, since when disabled, and one living session.
pub type Subscriber = (Account, Instant, Option<Instant>, Option<String>, Option<Instant>);

/// All accounts by address, each once for each living session, the one used last first; once if it has none.
///
/// # Errors
/// When the database is away.
pub async fn subscribers(conn: &mut Conn<'_>) -> Result<Vec<Subscriber>> {
    run!(
        conn,
        load(
            accounts::table
                .left_join(sessions::table.on(sessions::account_id.eq(accounts::id).and(is_live())))
                .order((accounts::email_key, sessions::last_activity.desc(), sessions::id))
                .select((
                    Account::as_select(),
                    accounts::created_at,
                    accounts::disabled_at,
                    sessions::id.nullable(),
                    sessions::last_activity.nullable(),
                ))
        )
    )
}

/// The account's living sessions, newest activity first, with the names of their devices.
///
/// # Errors
/// When the database is away.
pub async fn list(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<(Record, Option<String>)>> {
    run!(
        conn,
        load(
            sessions::table
                .left_join(devices::table.on(own_device()))
                .filter(sessions::account_id.eq(account_id))
                .filter(is_live())
                .order((sessions::last_activity.desc(), sessions::id))
                .select((Record::as_select(), devices::name.nullable()))
        )
    )
}

/// All living sessions with the address of their account and the name of their device, newest activity first.
///
/// # Errors
/// When the database is away.
pub async fn list_all(conn: &mut Conn<'_>) -> Result<Vec<(Record, String, Option<String>)>> {
    run!(
        conn,
        load(
            sessions::table
                .inner_join(accounts::table)
                .left_join(devices::table.on(own_device()))
                .filter(is_live())
                .order((sessions::last_activity.desc(), sessions::id))
                .select((Record::as_select(), accounts::email, devices::name.nullable()))
        )
    )
}

/// How many sessions live.
///
/// # Errors
/// When the database is away.
pub async fn count_live(conn: &mut Conn<'_>) -> Result<i64> {
    run!(conn, get_result(sessions::table.filter(is_live()).count()))
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It lives until then, if nobody uses it again.
    Live {
        /// When it ends.
        expires_at: Instant,
    },
    /// It has ended.
    Ended(Ended),
}

/// Where each of these sessions stands; what has no row is left out.
///
/// # Errors
/// When the database is away.
pub async fn standings(conn: &mut Conn<'_>, sessions: &[SessionRef]) -> Result<BTreeMap<String, Standing>> {
    type Row = (String, Instant, Option<Instant>, Option<EndReason>, Option<String>, Instant);
    let those = sessions::table.filter(SessionRef::one_of(sessions));
    let rows: Vec<Row> = run!(
        conn,
        load(those.select((
            sessions::id,
            sessions::expires_at,
            sessions::ended_at,
            sessions::ended_reason.nullable(),
            sessions::ended_by,
            now(),
        )))
    )?;
    let standing = |(id, expires_at, ended_at, reason, by, now): Row| {
        let standing = match (ended_at, reason) {
            (Some(at), Some(reason)) => Standing::Ended(Ended::by(reason, by.as_deref(), at)),
            _ if has_run_out(expires_at, now) => Standing::Ended(Ended::expired(expires_at)),
            _ => Standing::Live { expires_at },
        };
        (id, standing)
    };
    Ok(rows.into_iter().map(standing).collect())
}

/// Whether any session lives.
///
/// # Errors
/// When the database is away.
pub async fn any_live(conn: &mut Conn<'_>) -> Result<bool> {
    let one: Option<String> = find!(conn, first(sessions::table.filter(is_live()).select(sessions::id)))?;
    Ok(one.is_some())
}
