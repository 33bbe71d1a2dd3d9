//! The sweep ends expired sessions, deletes sessions that ended long ago, and wipes old addresses. It works in small
//! batches through an index, on any number of nodes at once. Called by `serve` every prune interval and by `prune`.
//!
//! Invariant: the statement that ends a session checks its expiry again under the row's lock, so that an earlier touch
//! wins.

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
    records::{audit, news},
};

/// Maximum number of sessions that one transaction ends or deletes.
const BATCH: i64 = 200;

/// The result of a sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Number of expired sessions that were ended.
    pub ended: usize,
    /// Number of sessions that had ended long ago and were deleted.
    pub deleted: usize,
}

/// Sweeps until there is nothing left to end or delete.
///
/// # Errors
/// When a batch fails. Earlier batches stay committed.
pub async fn sweep(db: &Db) -> Result<Swept> {
    sweep_in_batches(db, async |_| true).await
}

/// Like [`sweep`], until `go_on` returns `false`. It is called with the number of sessions after each batch.
pub async fn sweep_in_batches(db: &Db, go_on: impl AsyncFnMut(usize) -> bool) -> Result<Swept> {
    let swept = sweep_all(db, go_on).await;
    db.metrics().sweep(if swept.is_ok() { "done" } else { "failed" });
    swept
}

async fn sweep_all(db: &Db, mut go_on: impl AsyncFnMut(usize) -> bool) -> Result<Swept> {
    let mut swept = Swept::default();
    loop {
        let ended = db.write(end_expired).await?;
        db.metrics().swept("ended", ended);
        swept.ended += ended;
        if ended == 0 {
            break;
        }
        if !go_on(ended).await {
            return Ok(swept);
        }
    }
    loop {
        let deleted = db.write(delete_forgotten).await?;
        db.metrics().swept("deleted", deleted);
        swept.deleted += deleted;
        if deleted == 0 || !go_on(deleted).await {
            return Ok(swept);
        }
    }
}

/// Wipes addresses older than `older_than`: those of events, and those of sessions that were not used since. Returns
/// how many.
///
/// # Errors
/// When a batch fails. Earlier batches stay committed.
pub async fn wipe_addresses(db: &Db, older_than: Duration) -> Result<usize> {
    wipe_addresses_in_batches(db, older_than, async |_| true).await
}

/// Like [`wipe_addresses`], until `go_on` returns `false`. It is called with the number of rows after each batch.
pub async fn wipe_addresses_in_batches(
    db: &Db,
    older_than: Duration,
    mut go_on: impl AsyncFnMut(usize) -> bool,
) -> Result<usize> {
    let (mut wiped, mut goes_on) = (0, true);
    while goes_on {
        match db.write(async move |conn: &mut Conn<'_>| audit::wipe::wipe_batch(conn, older_than).await).await? {
            0 => break,
            count => (wiped, goes_on) = (wiped + count, go_on(count).await),
        }
    }
    while goes_on {
        match db.write(async move |conn: &mut Conn<'_>| wipe_batch(conn, older_than).await).await? {
            0 => break,
            count => (wiped, goes_on) = (wiped + count, go_on(count).await),
        }
    }
    if wiped > 0 {
        db.truncate_wal().await?;
    }
    Ok(wiped)
}

async fn wipe_batch(conn: &mut Conn<'_>, older_than: Duration) -> Result<usize> {
    let has_old_address = || sessions::ip.is_not_null().and(sessions::last_activity.le(before_now(older_than)));
    let old = sessions::table.filter(has_old_address()).order(sessions::last_activity).limit(BATCH);
    let old = old.select((sessions::account_id, sessions::id));
    let found: Vec<SessionRef> = ForUpdate::load_across(conn, old).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let those = sessions::table.filter(SessionRef::one_of(&found)).filter(has_old_address());
    let wiped = run!(conn, execute(diesel::update(those).set(sessions::ip.eq(None::<String>))))?;
    news::looked_up_changed(conn, found.iter().map(|session| session.account_id.as_str())).await?;
    Ok(wiped)
}

/// Ends one batch of expired sessions.
async fn end_expired(conn: &mut Conn<'_>) -> Result<usize> {
    let expired = sessions::table.filter(has_expired()).order(sessions::expires_at).limit(BATCH);
    let expired = expired.select((sessions::account_id, sessions::id));
    let expired: Vec<SessionRef> = ForUpdate::load_across(conn, expired).await?;
    expire(conn, &expired).await
}

/// Ends those of the given sessions that have expired. Returns how many.
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
    let forgotten = forgotten.select((sessions::account_id, sessions::id));
    let forgotten: Vec<SessionRef> = ForUpdate::load_across(conn, forgotten).await?;
    if forgotten.is_empty() {
        return Ok(0);
    }
    key_owner::forget(conn, &forgotten).await?;
    run!(conn, execute(diesel::delete(sessions::table.filter(SessionRef::one_of(&forgotten)).filter(is_forgotten()))))
}
