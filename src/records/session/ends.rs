//! The ends of sessions, in the caller's transaction: which end, why, by whom, with an event and news of each. Called by
//! whatever ends sessions: logout, revocation, new password, limit, operators; the [`sweep`](super::sweep) records its own here.
//!
//! Invariant: what has ended keeps its first end; no end is committed without its event.

use std::collections::{HashMap, HashSet};

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, Queryable};

use super::{ended::EndReason, listing, live::is_live, record::SessionRef, who::Who};
use crate::{
    base::{
        db::{
            Conn, ForUpdate, now, run,
            schema::{devices, sessions},
        },
        error::Result,
    },
    records::{
        audit::{self, Event},
        news,
    },
};

/// Sessions that [`Scope::All`] ends in one transaction at most.
const MOST_AT_ONCE: i64 = 2000;

/// Which sessions to end.
#[derive(Debug, Clone)]
pub enum Scope {
    /// This one.
    One(SessionRef),
    /// All of an account.
    Account(String),
    /// All of an account but this one.
    Others {
        /// The account.
        account: String,
        /// The session that goes on.
        but: String,
    },
    /// Some of an account's; another account's is none of them.
    These {
        /// The account.
        account: String,
        /// The sessions.
        ids: Vec<String>,
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

/// Ends sessions and records it, in the caller's transaction. What has ended before keeps its first end.
/// Returns how many it ended.
///
/// # Errors
/// When the database is away.
pub async fn end(conn: &mut Conn<'_>, scope: &Scope, reason: EndReason, by: &str, ip: Option<&str>) -> Result<usize> {
    end_all_of(conn, scope, &Deed { reason, by, ip, here: None }).await
}

/// The same for what a person ends in a session: of that one itself the event says so.
///
/// # Errors
/// When the database is away.
pub async fn revoke(conn: &mut Conn<'_>, scope: &Scope, who: &Who, ip: Option<&str>) -> Result<usize> {
    let deed = Deed { reason: EndReason::Revoked, by: &who.account_id, ip, here: Some(&who.session_id) };
    end_all_of(conn, scope, &deed).await
}

/// A session that was ended just now.
#[derive(Queryable)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub(super) struct JustEnded {
    account_id: String,
    id: String,
    device_id: Option<String>,
}

/// How sessions end.
pub(super) struct Deed<'a> {
    /// Why.
    pub(super) reason: EndReason,
    /// By whom.
    pub(super) by: &'a str,
    /// From where.
    pub(super) ip: Option<&'a str>,
    /// In which session.
    pub(super) here: Option<&'a str>,
}

async fn end_all_of(conn: &mut Conn<'_>, scope: &Scope, deed: &Deed<'_>) -> Result<usize> {
    let mut ended = 0;
    for batch in sessions_of(conn, scope).await?.chunks(500) {
        ended += end_batch(conn, batch, deed).await?;
    }
    Ok(ended)
}

/// The sessions in the scope that have not ended, all but a single one locked in the order of accounts, then of ids.
async fn sessions_of(conn: &mut Conn<'_>, scope: &Scope) -> Result<Vec<SessionRef>> {
    let (account, ids) = match scope {
        Scope::One(session) => return Ok(vec![session.clone()]),
        Scope::All => return some_of_all(conn).await,
        Scope::Account(account) => (account, listing::lock_living(conn, account).await?),
        Scope::Others { account, but } => {
            let mut ids = listing::lock_living(conn, account).await?;
            ids.retain(|id| id != but);
            (account, ids)
        }
        Scope::These { account, ids } => {
            let mut living = listing::lock_living(conn, account).await?;
            living.retain(|one| ids.contains(one));
            (account, living)
        }
        Scope::OnDevice { account, device } => {
            listing::lock_living(conn, account).await?;
            (account, listing::on_device(conn, account, device).await?)
        }
        Scope::OverLimit { account, but, most } => {
            listing::lock_living(conn, account).await?;
            let mut others = listing::idlest(conn, account, but).await?;
            let allowed = usize::try_from(most.saturating_sub(1)).unwrap_or(usize::MAX);
            others.truncate(others.len().saturating_sub(allowed));
            (account, others)
        }
    };
    Ok(ids.iter().map(|id| SessionRef::new(account, id)).collect())
}

/// Some of all sessions that live, found by when they would expire: looked for in the order of their ids, each batch would
/// go through those that ended before it. None are left only when none are found: those found may have ended meanwhile.
async fn some_of_all(conn: &mut Conn<'_>) -> Result<Vec<SessionRef>> {
    loop {
        let soonest = sessions::table.filter(is_live()).order(sessions::expires_at).limit(MOST_AT_ONCE);
        let found: Vec<SessionRef> = run!(conn, load(soonest.select((sessions::account_id, sessions::id))))?;
        if found.is_empty() {
            return Ok(found);
        }
        let in_order = sessions::table
            .filter(SessionRef::one_of(&found))
            .filter(is_live())
            .order((sessions::account_id, sessions::id));
        let locked: Vec<SessionRef> =
            run!(conn, load(ForUpdate::wait(in_order.select((sessions::account_id, sessions::id)))))?;
        if !locked.is_empty() {
            return Ok(locked);
        }
    }
}

async fn end_batch(conn: &mut Conn<'_>, batch: &[SessionRef], deed: &Deed<'_>) -> Result<usize> {
    let cause = (
        sessions::ended_at.eq(now().nullable()),
        sessions::ended_reason.eq(Some(deed.reason)),
        sessions::ended_by.eq(Some(deed.by)),
    );
    let what = (sessions::account_id, sessions::id, sessions::device_id);
    let Some(account_id) = batch.first().map(|one| one.account_id.as_str()) else { return Ok(0) };
    let ended: Vec<JustEnded> = if batch.iter().all(|one| one.account_id == account_id) {
        let ids: Vec<&str> = batch.iter().map(|one| one.id.as_str()).collect();
        let own = sessions::table.filter(sessions::account_id.eq(account_id)).filter(sessions::id.eq_any(ids));
        run!(conn, get_results(diesel::update(own.filter(is_live())).set(cause).returning(what)))?
    } else {
        let those = sessions::table.filter(SessionRef::one_of(batch));
        run!(conn, get_results(diesel::update(those.filter(is_live())).set(cause).returning(what)))?
    };
    record_ends(conn, &ended, deed).await?;
    Ok(ended.len())
}

/// Announces what ended, and writes one event for each session: its id, its account, its device.
pub(super) async fn record_ends(conn: &mut Conn<'_>, ended: &[JustEnded], deed: &Deed<'_>) -> Result<()> {
    let Deed { reason, by, ip, here } = *deed;
    let accounts: HashSet<&str> = ended.iter().map(|one| one.account_id.as_str()).collect();
    let device_ids: HashSet<&str> = ended.iter().filter_map(|one| one.device_id.as_deref()).collect();
    let names: HashMap<String, String> = if device_ids.is_empty() {
        HashMap::new()
    } else {
        let rows: Vec<(String, String)> = run!(
            conn,
            load(
                devices::table
                    .filter(devices::account_id.eq_any(accounts.iter().copied().collect::<Vec<_>>()))
                    .filter(devices::id.eq_any(device_ids.iter().copied().collect::<Vec<_>>()))
                    .select((devices::id, devices::name))
            )
        )?;
        rows.into_iter().collect()
    };
    let events: Vec<Event> = ended
        .iter()
        .map(|JustEnded { account_id, id, device_id }| {
            let device = device_id.as_deref().filter(|device| names.contains_key(*device));
            let name = device.and_then(|device| names.get(device));
            let event = Event::of(reason.event(), account_id)
                .by(by)
                .session(id)
                .device(device, name.map(String::as_str))
                .ip(ip);
            match reason {
                EndReason::PasswordChanged | EndReason::AccountDisabled => event.detail(reason.as_str()),
                EndReason::Revoked if by == audit::SYSTEM => event.detail("too many at once"),
                EndReason::Revoked if here == Some(id) => event.detail(audit::HERE),
                _ => event,
            }
        })
        .collect();
    audit::record(conn, &events).await?;
    news::ended(conn, ended.iter().map(|one| (one.id.as_str(), one.account_id.as_str())), reason.as_str()).await
}
