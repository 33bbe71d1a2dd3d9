//! The sweep: ends what has expired, then deletes what ended long ago; and wipes addresses that are old. In small batches
//! through an index, on any number of nodes at once. Called by `serve` every prune interval and by `prune`.
//!
//! Invariant: whether a session has expired is checked again in the statement that ends it, under its row's lock, so
//! that a touch which came first wins.

use std::time::Duration;

use diesel::{BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _};

use super::{
    ended::EndReason,
    ends::{self, Deed, JustEnded},
    key_owner,
    live::{has_expired, is_forgotten},
    record::SessionRef,
};
use crate::{
    base::{
        db::{Conn, Db, ForUpdate, before_now, now, run, schema::sessions},
        error::Result,
    },
    records::audit,
};

/// Sessions a transaction ends or deletes at most.
const BATCH: i64 = 200;

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Sessions that had expired and were ended.
    pub ended: usize,
    /// Sessions that had ended long ago and were deleted.
    pub deleted: usize,
}

/// Sweeps until nothing is left to do.
///
/// # Errors
/// When the database is away; what was done before stays done.
pub async fn sweep(db: &Db) -> Result<Swept> {
    let swept = sweep_all(db).await;
    db.metrics().sweep(if swept.is_ok() { "done" } else { "failed" });
    swept
}

async fn sweep_all(db: &Db) -> Result<Swept> {
    let mut swept = Swept::default();
    loop {
        let ended = db.write(end_expired).await?;
        db.metrics().swept("ended", ended);
        swept.ended += ended;
        if ended == 0 {
            break;
        }
    }
    loop {
        let deleted = db.write(delete_forgotten).await?;
        db.metrics().swept("deleted", deleted);
        swept.deleted += deleted;
        if deleted == 0 {
            return Ok(swept);
        }
    }
}

/// Wipes the addresses of events, and those of sessions that nobody used since, older than this; how many.
///
/// # Errors
/// When the database is away; what was done before stays done.
pub async fn wipe_addresses(db: &Db, older_than: Duration) -> Result<usize> {
    let mut wiped = audit::wipe::wipe_addresses(db, older_than).await?;
    loop {
        match db.write(async move |conn: &mut Conn<'_>| wipe_batch(conn, older_than).await).await? {
            0 => break,
            some => wiped += some,
        }
    }
    if wiped > 0 {
        db.truncate_wal().await?;
    }
    Ok(wiped)
}

async fn wipe_batch(conn: &mut Conn<'_>, older_than: Duration) -> Result<usize> {
    let found: Vec<SessionRef> = run!(
        conn,
        load(ForUpdate::skip_locked(
            sessions::table
                .filter(sessions::ip.is_not_null().and(sessions::last_activity.le(before_now(older_than))))
                .order(sessions::last_activity)
                .limit(BATCH)
                .select((sessions::account_id, sessions::id))
        ))
    )?;
    if found.is_empty() {
        return Ok(0);
    }
    run!(
        conn,
        execute(
            diesel::update(sessions::table.filter(SessionRef::one_of(&found))).set(sessions::ip.eq(None::<String>))
        )
    )
}

/// Ends one batch of sessions that have expired.
async fn end_expired(conn: &mut Conn<'_>) -> Result<usize> {
    let expired = sessions::table.filter(has_expired()).order(sessions::expires_at).limit(BATCH);
    let expired: Vec<SessionRef> =
        run!(conn, load(ForUpdate::skip_locked(expired.select((sessions::account_id, sessions::id)))))?;
    expire(conn, &expired).await
}

/// Ends those of these sessions that have expired; how many.
///
/// # Errors
/// When the database is away.
pub async fn expire(conn: &mut Conn<'_>, found: &[SessionRef]) -> Result<usize> {
    if found.is_empty() {
        return Ok(0);
    }
    let ended: Vec<JustEnded> = run!(
        conn,
        get_results(
            diesel::update(sessions::table.filter(SessionRef::one_of(found)).filter(has_expired()))
                .set((
                    sessions::ended_at.eq(now().nullable()),
                    sessions::ended_reason.eq(Some(EndReason::Expired)),
                    sessions::ended_by.eq(Some(audit::SYSTEM)),
                ))
                .returning((sessions::account_id, sessions::id, sessions::device_id))
        )
    )?;
    let deed = Deed { reason: EndReason::Expired, by: audit::SYSTEM, ip: None, here: None };
    ends::record_ends(conn, &ended, &deed).await?;
    Ok(ended.len())
}

/// Deletes one batch of sessions that ended long ago.
async fn delete_forgotten(conn: &mut Conn<'_>) -> Result<usize> {
    let forgotten = sessions::table.filter(is_forgotten()).order(sessions::ended_at).limit(BATCH);
    let forgotten: Vec<SessionRef> =
        run!(conn, load(ForUpdate::skip_locked(forgotten.select((sessions::account_id, sessions::id)))))?;
    if forgotten.is_empty() {
        return Ok(0);
    }
    key_owner::forget(conn, &forgotten).await?;
    run!(conn, execute(diesel::delete(sessions::table.filter(SessionRef::one_of(&forgotten)).filter(is_forgotten()))))
}
