//! Ends sessions in the caller's transaction, and records an audit event and a notification for each. Called by
//! everything that ends sessions: logout, revocation, password change, session limit and operators. The
//! [`sweep`](super::sweep) records its ends here too.
//!
//! Invariant: an ended session keeps its first end, and no end is committed without its event.

use std::collections::{HashMap, HashSet};

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, Queryable};

use super::{ended::EndReason, key::SessionKey, listing, live::is_live, record::SessionRef, who::Who};
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

/// Maximum number of sessions that [`Scope::All`] ends in one transaction.
const MOST_AT_ONCE: i64 = 2000;

/// Which sessions to end.
#[derive(Debug, Clone)]
pub enum Scope {
    One(SessionRef),
    /// All sessions of an account.
    Account(String),
    /// All sessions of an account except one.
    Others {
        account: String,
        /// The session to keep.
        but: String,
    },
    /// Some sessions of an account. Ids of other accounts' sessions are ignored.
    These {
        account: String,
        ids: Vec<String>,
    },
    /// All sessions of an account on one device.
    OnDevice {
        account: String,
        device: String,
    },
    /// The sessions that exceed an account's limit. The sessions idle longest are ended.
    OverLimit {
        /// The account, whose row the caller has locked.
        account: String,
        /// The session to keep.
        but: String,
        /// The limit, which includes `but`.
        most: u32,
    },
    /// All sessions, at most 2,000 at once. The caller repeats the call until it ends none.
    All,
}

impl Scope {
    /// The account whose sessions end. `None` for those of every account.
    fn account(&self) -> Option<&str> {
        match self {
            Self::One(session) => Some(&session.account_id),
            Self::Account(account)
            | Self::Others { account, .. }
            | Self::These { account, .. }
            | Self::OnDevice { account, .. }
            | Self::OverLimit { account, .. } => Some(account),
            Self::All => None,
        }
    }
}

/// Ends sessions and records their ends. Returns how many it ended. Sessions that have already ended do not change.
pub async fn end(conn: &mut Conn<'_>, scope: &Scope, reason: EndReason, by: &str, ip: Option<&str>) -> Result<usize> {
    end_all_of(conn, scope, &Deed { reason, by, ip, here: None }).await
}

/// Revokes sessions on behalf of a user. If the user's own session is among them, its event is marked with
/// [`audit::HERE`].
pub async fn revoke(conn: &mut Conn<'_>, scope: &Scope, who: &Who, ip: Option<&str>) -> Result<usize> {
    let deed = Deed { reason: EndReason::Revoked, by: &who.account_id, ip, here: Some(&who.session_id) };
    end_all_of(conn, scope, &deed).await
}

/// Call this when a request finds that the session of a key has ended. Another request may have committed the end just
/// now, and a node may not have heard of it yet. After the commit, no node answers from memory with the session.
pub async fn settle(conn: &mut Conn<'_>, key: &SessionKey) -> Result<()> {
    // A session whose key has no account part is never in memory.
    news::looked_up_changed(conn, key.account_id().into_iter()).await
}

/// A session that was just ended.
#[derive(Queryable)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub(super) struct JustEnded {
    account_id: String,
    id: String,
    device_id: Option<String>,
}

/// The reason, actor and origin of an end.
pub(super) struct Deed<'a> {
    pub(super) reason: EndReason,
    /// The account that acts, or [`audit::SYSTEM`] or [`audit::OPERATOR`].
    pub(super) by: &'a str,
    pub(super) ip: Option<&'a str>,
    /// The session in which the user acts.
    pub(super) here: Option<&'a str>,
}

async fn end_all_of(conn: &mut Conn<'_>, scope: &Scope, deed: &Deed<'_>) -> Result<usize> {
    let (sessions, mut ended) = (sessions_of(conn, scope).await?, 0);
    for batch in sessions.chunks(500) {
        ended += end_batch(conn, batch, deed).await?;
    }
    let is_reported = !matches!(scope, Scope::OverLimit { .. });
    if is_reported && (sessions.is_empty() || ended < sessions.len()) {
        // The caller reports ends that others committed, perhaps just now. No node may answer with these sessions.
        match scope.account() {
            Some(account_id) => news::looked_up_changed(conn, std::iter::once(account_id)).await?,
            None => news::many(conn).await?,
        }
    }
    Ok(ended)
}

/// The sessions in the scope that have not ended. They are locked in order of account and id, except for
/// [`Scope::One`].
async fn sessions_of(conn: &mut Conn<'_>, scope: &Scope) -> Result<Vec<SessionRef>> {
    let (account, ids) = match scope {
        Scope::One(session) => return Ok(vec![session.clone()]),
        Scope::All => return lock_live_batch(conn).await,
        Scope::Account(account) => (account, listing::lock_living(conn, account).await?),
        Scope::Others { account, but } => {
            let mut ids = listing::lock_living(conn, account).await?;
            ids.retain(|id| id != but);
            (account, ids)
        }
        Scope::These { account, ids } => {
            let mut living = listing::lock_living(conn, account).await?;
            living.retain(|id| ids.contains(id));
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

/// Locks the next batch of live sessions, ordered by expiry. If batches were ordered by id, each would scan the
/// sessions that earlier batches ended. Stop only when no session is found: the sessions found may end before they are
/// locked.
async fn lock_live_batch(conn: &mut Conn<'_>) -> Result<Vec<SessionRef>> {
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
        let in_order = in_order.select((sessions::account_id, sessions::id));
        let in_order = ForUpdate::wait_across(conn, in_order).await?;
        let locked: Vec<SessionRef> = run!(conn, load(in_order))?;
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
    let columns = (sessions::account_id, sessions::id, sessions::device_id);
    let Some(account_id) = batch.first().map(|session| session.account_id.as_str()) else { return Ok(0) };
    let ended: Vec<JustEnded> = if batch.iter().all(|session| session.account_id == account_id) {
        let ids: Vec<&str> = batch.iter().map(|session| session.id.as_str()).collect();
        let own = sessions::table.filter(sessions::account_id.eq(account_id)).filter(sessions::id.eq_any(ids));
        run!(conn, get_results(diesel::update(own.filter(is_live())).set(cause).returning(columns)))?
    } else {
        let targets = sessions::table.filter(SessionRef::one_of(batch));
        run!(conn, get_results(diesel::update(targets.filter(is_live())).set(cause).returning(columns)))?
    };
    record_ends(conn, &ended, deed).await?;
    Ok(ended.len())
}

/// Writes an audit event for each ended session, and announces the ends.
pub(super) async fn record_ends(conn: &mut Conn<'_>, ended: &[JustEnded], deed: &Deed<'_>) -> Result<()> {
    let Deed { reason, by, ip, here } = *deed;
    let accounts: HashSet<&str> = ended.iter().map(|session| session.account_id.as_str()).collect();
    let device_ids: HashSet<&str> = ended.iter().filter_map(|session| session.device_id.as_deref()).collect();
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
    news::ended(conn, ended.iter().map(|session| (session.id.as_str(), session.account_id.as_str())), reason.as_str())
        .await
}
