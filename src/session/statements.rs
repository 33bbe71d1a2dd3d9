//! What is done to sessions in the caller's transaction: created, rotated, ended, listed. With [`store`](super::store) and
//! [`sweep`](super::sweep) the only owner of the sessions table.
//!
//! Invariant: every change says in its `WHERE` that the session lives; no update becomes an insert.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, Insertable, JoinOnDsl as _, NullableExpressionMethods as _,
    QueryDsl as _, SelectableHelper as _,
};
use serde_json::Value;

use super::{EndReason, Lifetimes, Record, SessionKey, listing, news, request::Ended};
use crate::{
    audit::{self, Event},
    db::{
        Conn, Instant, Locked, find, from_now, now, run,
        schema::{accounts, devices, sessions},
    },
    device::{Client, Shape},
    error::Result,
};

/// Sessions that [`Scope::All`] ends in one transaction at most.
const MOST_AT_ONCE: i64 = 2000;

/// A session to be created, or what a session becomes at its rotation.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its new key.
    pub key: SessionKey,
    /// Whose it is.
    pub account_id: String,
    /// On which device.
    pub device_id: String,
    /// From where.
    pub ip: Option<String>,
    /// In which browser.
    pub client: Client,
}

/// Which sessions to end.
#[derive(Debug, Clone)]
pub enum Scope {
    /// This one.
    One(String),
    /// All of an account.
    Account(String),
    /// All of an account but this one.
    Others {
        /// The account.
        account: String,
        /// The session that goes on.
        but: String,
    },
    /// One of an account's; another account's is none.
    OneOf {
        /// The account.
        account: String,
        /// The session.
        id: String,
    },
    /// All of an account on one device.
    OnDevice {
        /// The account.
        account: String,
        /// The device.
        device: String,
    },
    /// Of an account that has more than it may, those idle longest.
    OverLimit {
        /// The account, whose row is locked.
        account: String,
        /// The session that goes on.
        but: String,
        /// How many it may have, that one among them.
        most: u32,
    },
    /// All there are, at most 2,000 at once: to be repeated until none is left.
    All,
}

#[derive(Insertable)]
#[diesel(table_name = sessions)]
struct Row<'a> {
    id: &'a str,
    secret_hash: Vec<u8>,
    account_id: &'a str,
    device_id: &'a str,
    ip: Option<&'a str>,
    browser: &'a str,
    os: &'a str,
    kind: Shape,
    installed: bool,
    version: i64,
    state: Value,
    data: &'a str,
}

/// Inserts a session. An id that exists already is an error and overwrites nothing.
///
/// # Errors
/// When the database is away, or the id collides.
pub async fn create(conn: &mut Conn<'_>, new: &NewSession, times: Lifetimes) -> Result<Record> {
    let row = Row {
        id: new.key.id(),
        secret_hash: new.key.secret().hash(),
        account_id: &new.account_id,
        device_id: &new.device_id,
        ip: new.ip.as_deref(),
        browser: &new.client.browser,
        os: &new.client.os,
        kind: new.client.kind,
        installed: new.client.installed,
        version: 1,
        state: Value::Object(serde_json::Map::new()),
        data: "{}",
    };
    run!(
        conn,
        get_result(
            diesel::insert_into(sessions::table)
                .values((
                    row,
                    sessions::created_at.eq(now()),
                    sessions::authenticated_at.eq(now()),
                    sessions::last_activity.eq(now()),
                    sessions::expires_at.eq(from_now(times.idle)),
                    sessions::absolute_expires_at.eq(from_now(times.absolute)),
                ))
                .returning(Record::as_returning())
        )
    )
}

/// Gives a living session of the same account a new id and secret, in one statement: the old key stops working in the
/// instant in which the new one starts. State and data stay. `None` when there is no such session to rotate.
///
/// # Errors
/// When the database is away, or the new id collides.
pub async fn rotate(
    conn: &mut Conn<'_>,
    old: &SessionKey,
    new: &NewSession,
    times: Lifetimes,
) -> Result<Option<Record>> {
    let target = sessions::table
        .filter(sessions::id.eq(old.id()))
        .filter(sessions::secret_hash.eq(old.secret().hash()))
        .filter(sessions::account_id.eq(&new.account_id))
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(now()));
    let identity = (
        sessions::id.eq(new.key.id()),
        sessions::secret_hash.eq(new.key.secret().hash()),
        sessions::version.eq(sessions::version + 1),
    );
    let origin = (
        sessions::device_id.eq(Some(&new.device_id)),
        sessions::ip.eq(new.ip.as_deref()),
        sessions::browser.eq(&new.client.browser),
        sessions::os.eq(&new.client.os),
        sessions::kind.eq(new.client.kind),
        sessions::installed.eq(new.client.installed),
    );
    let life = (
        sessions::created_at.eq(now()),
        sessions::authenticated_at.eq(now()),
        sessions::last_activity.eq(now()),
        sessions::expires_at.eq(from_now(times.idle)),
        sessions::absolute_expires_at.eq(from_now(times.absolute)),
    );
    let rotated: Option<Record> = find!(
        conn,
        get_result(diesel::update(target).set((identity, origin, life)).returning(Record::as_returning()))
    )?;
    if rotated.is_some() {
        news::rotated(conn, &new.account_id, old.id()).await?;
    }
    Ok(rotated)
}

/// Gives a living session a new id and secret, as after its person has given the password again, in one statement.
/// Everything else of it stays. `false` when it does not live any more.
///
/// # Errors
/// When the database is away, or the new id collides.
pub async fn rekey(conn: &mut Conn<'_>, old: &SessionKey, new: &SessionKey) -> Result<bool> {
    let target = sessions::table
        .filter(sessions::id.eq(old.id()))
        .filter(sessions::secret_hash.eq(old.secret().hash()))
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(now()));
    let identity = (
        sessions::id.eq(new.id()),
        sessions::secret_hash.eq(new.secret().hash()),
        sessions::version.eq(sessions::version + 1),
        sessions::authenticated_at.eq(now()),
    );
    let account: Option<String> =
        find!(conn, get_result(diesel::update(target).set(identity).returning(sessions::account_id)))?;
    if let Some(account) = &account {
        news::rotated(conn, account, old.id()).await?;
    }
    Ok(account.is_some())
}

/// Whose living session a key opens, if it opens one.
///
/// # Errors
/// When the database is away.
pub async fn owner(conn: &mut Conn<'_>, key: &SessionKey) -> Result<Option<String>> {
    find!(
        conn,
        first(
            sessions::table
                .filter(sessions::id.eq(key.id()))
                .filter(sessions::secret_hash.eq(key.secret().hash()))
                .filter(sessions::ended_at.is_null())
                .filter(sessions::expires_at.gt(now()))
                .select(sessions::account_id)
        )
    )
}

/// Ends sessions and records it, in the caller's transaction. What has ended before keeps its first end.
/// Returns how many it ended.
///
/// # Errors
/// When the database is away.
pub async fn end(conn: &mut Conn<'_>, scope: &Scope, reason: EndReason, by: &str, ip: Option<&str>) -> Result<usize> {
    let mut ended = 0;
    for batch in ids_of(conn, scope).await?.chunks(500) {
        ended += end_batch(conn, batch, reason, by, ip).await?;
    }
    Ok(ended)
}

/// The sessions in the scope that have not ended, all but a single one locked in the order of their ids.
async fn ids_of(conn: &mut Conn<'_>, scope: &Scope) -> Result<Vec<String>> {
    Ok(match scope {
        Scope::One(id) => vec![id.clone()],
        Scope::Account(account) => listing::lock_living(conn, account).await?,
        Scope::Others { account, but } => {
            let mut ids = listing::lock_living(conn, account).await?;
            ids.retain(|id| id != but);
            ids
        }
        Scope::OneOf { account, id } => {
            let mut ids = listing::lock_living(conn, account).await?;
            ids.retain(|one| one == id);
            ids
        }
        Scope::OnDevice { account, device } => {
            listing::lock_living(conn, account).await?;
            listing::on_device(conn, account, device).await?
        }
        Scope::OverLimit { account, but, most } => {
            listing::lock_living(conn, account).await?;
            let mut others = listing::idlest(conn, account, but).await?;
            let allowed = usize::try_from(most.saturating_sub(1)).unwrap_or(usize::MAX);
            others.truncate(others.len().saturating_sub(allowed));
            others
        }
        Scope::All => run!(
            conn,
            load(Locked::all(
                sessions::table
                    .filter(sessions::ended_at.is_null().and(sessions::expires_at.gt(now())))
                    .order(sessions::id)
                    .limit(MOST_AT_ONCE)
                    .select(sessions::id)
            ))
        )?,
    })
}

async fn end_batch(
    conn: &mut Conn<'_>,
    ids: &[String],
    reason: EndReason,
    by: &str,
    ip: Option<&str>,
) -> Result<usize> {
    let ended: Vec<(String, String, Option<String>)> = run!(
        conn,
        get_results(
            diesel::update(
                sessions::table
                    .filter(sessions::id.eq_any(ids))
                    .filter(sessions::ended_at.is_null())
                    .filter(sessions::expires_at.gt(now()))
            )
            .set((
                sessions::ended_at.eq(now().nullable()),
                sessions::ended_reason.eq(Some(reason)),
                sessions::ended_by.eq(Some(by)),
            ))
            .returning((sessions::id, sessions::account_id, sessions::device_id))
        )
    )?;
    record_ends(conn, &ended, reason, by, ip).await?;
    Ok(ended.len())
}

/// Announces what ended, and writes one event for each session: its id, its account, its device.
pub(super) async fn record_ends(
    conn: &mut Conn<'_>,
    ended: &[(String, String, Option<String>)],
    reason: EndReason,
    by: &str,
    ip: Option<&str>,
) -> Result<()> {
    let device_ids: HashSet<&str> = ended.iter().filter_map(|(_, _, device)| device.as_deref()).collect();
    let names: HashMap<String, String> = if device_ids.is_empty() {
        HashMap::new()
    } else {
        let rows: Vec<(String, String)> = run!(
            conn,
            load(
                devices::table
                    .filter(devices::id.eq_any(device_ids.iter().copied().collect::<Vec<_>>()))
                    .select((devices::id, devices::name))
            )
        )?;
        rows.into_iter().collect()
    };
    let events: Vec<Event> = ended
        .iter()
        .map(|(id, account, device)| {
            let name = device.as_ref().and_then(|device| names.get(device));
            let event = Event::of(reason.event(), account)
                .by(by)
                .session(id)
                .device(device.as_deref(), name.map(String::as_str))
                .ip(ip);
            match reason {
                EndReason::PasswordChanged | EndReason::AccountDisabled => event.detail(reason.as_str()),
                EndReason::Revoked if by == audit::SYSTEM => event.detail("too many at once"),
                _ => event,
            }
        })
        .collect();
    audit::record(conn, &events).await?;
    news::ended(conn, ended.iter().map(|(id, account, _)| (id.as_str(), account.as_str())), reason).await
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
                .left_join(devices::table.on(sessions::device_id.eq(devices::id.nullable())))
                .filter(sessions::account_id.eq(account_id))
                .filter(sessions::ended_at.is_null().and(sessions::expires_at.gt(now())))
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
                .left_join(devices::table.on(sessions::device_id.eq(devices::id.nullable())))
                .filter(sessions::ended_at.is_null().and(sessions::expires_at.gt(now())))
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
    run!(
        conn,
        get_result(sessions::table.filter(sessions::ended_at.is_null().and(sessions::expires_at.gt(now()))).count())
    )
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
pub async fn standings(conn: &mut Conn<'_>, ids: &[String]) -> Result<BTreeMap<String, Standing>> {
    type Row = (String, Instant, Option<Instant>, Option<EndReason>, Option<String>, Instant);
    let rows: Vec<Row> = run!(
        conn,
        load(sessions::table.filter(sessions::id.eq_any(ids)).select((
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
            _ if expires_at <= now => Standing::Ended(Ended::expired(expires_at)),
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
    let one: Option<String> = find!(
        conn,
        first(
            sessions::table
                .filter(sessions::ended_at.is_null().and(sessions::expires_at.gt(now())))
                .select(sessions::id)
        )
    )?;
    Ok(one.is_some())
}
