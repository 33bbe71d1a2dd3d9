//! Reads and locks of sessions, apart from the lookup that each request makes. Called by pages, API, commands, and
//! everything that ends sessions.
//!
//! Invariant: every read of one account's sessions filters by account.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _, NullableExpressionMethods as _, QueryDsl as _,
    SelectableHelper as _,
};

use super::{
    ended::{EndReason, Ended},
    live::{has_not_ended, has_run_out, is_live, is_of_earlier_generation},
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
    records::account::{Account, in_order},
};

/// Join condition for a session's device, which may have been deleted.
#[diesel::dsl::auto_type(no_type_alias)]
pub(super) fn own_device() -> _ {
    sessions::account_id.eq(devices::account_id).and(sessions::device_id.eq(devices::id.nullable()))
}

/// A session of the account, live or ended, with the name of its device.
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

/// The live sessions of one device. A session without a known device forms a group of its own.
#[derive(Debug)]
pub struct SignedIn<'a> {
    /// The most recently used session.
    pub newest: &'a Record,
    pub device_name: Option<&'a str>,
    /// The number of sessions.
    pub sessions: usize,
}

impl SignedIn<'_> {
    /// Whether a session is on this device.
    pub fn is_of(&self, record: &Record) -> bool {
        self.newest.id == record.id || (record.device_id.is_some() && self.newest.device_id == record.device_id)
    }
}

/// Groups live sessions by device. The input is ordered by activity, and the groups keep its order.
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

/// Maps the given session ids to devices. Leaves out other accounts' sessions and includes ended sessions.
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

/// Whether a session of the account is live.
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

/// Locks the sessions of an account that have not ended, in id order, and returns their ids.
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

/// Like [`lock_living`], but also locks one more session, which may belong to another account, so that the caller can
/// end it together with sessions of this account. Locks in order of account and id.
pub async fn lock_living_and(conn: &mut Conn<'_>, account_id: &str, also: &SessionRef) -> Result<()> {
    if conn.is_distributed() && also.account_id != account_id {
        // One statement cannot lock rows of two accounts.
        if *also.account_id < *account_id {
            lock_one(conn, also).await?;
            lock_living(conn, account_id).await?;
        } else {
            lock_living(conn, account_id).await?;
            lock_one(conn, also).await?;
        }
        return Ok(());
    }
    let also = (also.account_id.as_str(), also.id.as_str());
    let _: Vec<String> = run!(conn, load(LivingAnd { account_id, also }))?;
    Ok(())
}

async fn lock_one(conn: &mut Conn<'_>, session: &SessionRef) -> Result<()> {
    let own = sessions::table.filter(sessions::account_id.eq(&session.account_id));
    let living = own.filter(sessions::id.eq(&session.id)).filter(has_not_ended()).select(sessions::id);
    let _: Vec<String> = run!(conn, load(ForUpdate::wait(living)))?;
    Ok(())
}

/// The account's sessions on one device that have not ended.
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

/// The account's live sessions except `but`, longest idle first.
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

/// A row of the account list: the account, when it was created, when it was disabled, and the id and last activity of a
/// live session.
pub type Subscriber = (Account, Instant, Option<Instant>, Option<String>, Option<Instant>);
/// A session with the address of its account and the name of its device.
pub type Listed = (Record, String, Option<String>);

/// The next portion of accounts after the address key `after`, in order of the keys, with the last key. An account has a row for each live session, most recently used first, or one row if it has no live session.
pub async fn subscribers(conn: &mut Conn<'_>, after: &str) -> Result<Option<(Vec<Subscriber>, String)>> {
    let Some(up_to) = in_order::end_after(conn, after).await? else { return Ok(None) };
    let rows = run!(
        conn,
        load(
            accounts::table
                .left_join(sessions::table.on(sessions::account_id.eq(accounts::id).and(is_live())))
                .filter(accounts::deleted_at.is_null())
                .filter(accounts::email_key.gt(after))
                .filter(accounts::email_key.le(&up_to))
                .order((accounts::email_key, sessions::last_activity.desc(), sessions::id))
                .select((
                    Account::as_select(),
                    accounts::created_at,
                    accounts::disabled_at,
                    sessions::id.nullable(),
                    sessions::last_activity.nullable(),
                ))
        )
    )?;
    Ok(Some((rows, up_to)))
}

/// The account's live sessions with the names of their devices, newest activity first.
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

/// The live sessions of the next portion of accounts after the address key `after`, with the last key. Each session comes with
/// its account's address and its device's name. The order is undefined.
pub async fn of_accounts_after(conn: &mut Conn<'_>, after: &str) -> Result<Option<(Vec<Listed>, String)>> {
    let Some(up_to) = in_order::end_after(conn, after).await? else { return Ok(None) };
    let rows = run!(
        conn,
        load(
            sessions::table
                .inner_join(accounts::table)
                .left_join(devices::table.on(own_device()))
                .filter(accounts::email_key.gt(after))
                .filter(accounts::email_key.le(&up_to))
                .filter(is_live())
                .select((Record::as_select(), accounts::email, devices::name.nullable()))
        )
    )?;
    Ok(Some((rows, up_to)))
}

/// Whether a session is live or has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The session is live.
    Live {
        /// When the session expires if it is not used again.
        expires_at: Instant,
    },
    Ended(Ended),
}

/// The standing of each of these sessions, by id. Sessions without a row are left out.
pub async fn standings(conn: &mut Conn<'_>, sessions: &[SessionRef]) -> Result<BTreeMap<String, Standing>> {
    type Row = (String, Instant, Option<Instant>, Option<EndReason>, Option<String>, bool, Instant);
    let selected = sessions::table.filter(SessionRef::one_of(sessions));
    let rows: Vec<Row> = run!(
        conn,
        load(selected.select((
            sessions::id,
            sessions::expires_at,
            sessions::ended_at,
            sessions::ended_reason.nullable(),
            sessions::ended_by,
            is_of_earlier_generation(),
            now(),
        )))
    )?;
    let standing = |(id, expires_at, ended_at, reason, by, is_outdated, now): Row| {
        let standing = match (ended_at, reason) {
            (Some(at), Some(reason)) => Standing::Ended(Ended::by(reason, by.as_deref(), at)),
            _ if is_outdated => Standing::Ended(Ended::outdated()),
            _ if has_run_out(expires_at, now) => Standing::Ended(Ended::expired(expires_at)),
            _ => Standing::Live { expires_at },
        };
        (id, standing)
    };
    Ok(rows.into_iter().map(standing).collect())
}
