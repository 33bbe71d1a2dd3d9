//! Deletes events that are older than `SESSILE_AUDIT_TTL`. The rest of an account's chain follows a sealed checkpoint.
//! Called by the sweep of `serve` and by `prune`.
//!
//! Invariant: events are deleted only from the beginning of a chain, after they were verified, and in the transaction
//! that writes their checkpoint. Nothing is deleted from a chain that does not verify, because it is evidence.

use std::time::Duration;

use diesel::{ExpressionMethods as _, QueryDsl as _};

use super::{
    anchor,
    checkpoint::{self, Checkpoint},
    mark::NOBODY,
    walk::Walk,
};
use crate::base::{
    db::{
        Conn, Db, ForUpdate, Instant, before_now, find, now, run,
        schema::{audit, trails},
    },
    error::Result,
};

/// Maximum events that a transaction reads and deletes.
const BATCH: i64 = 500;

/// Deletes events that are older than this. Returns their number.
pub async fn sweep(db: &Db, older_than: Duration) -> Result<u64> {
    sweep_in_batches(db, older_than, async |_| true).await
}

/// Like [`sweep`], until `go_on` returns `false`. After each batch, `go_on` gets the number of deleted events. It is 0 after
/// a batch that only read the first event of each account.
pub async fn sweep_in_batches(db: &Db, older_than: Duration, go_on: impl AsyncFnMut(usize) -> bool) -> Result<u64> {
    let cutoff = db
        .read(async move |conn: &mut Conn<'_>| run!(conn, get_result(diesel::select(before_now(older_than)))))
        .await?;
    remove_in_batches(db, cutoff, go_on).await
}

/// Deletes events up to this time. Returns their number.
pub async fn remove_until(db: &Db, cutoff: Instant) -> Result<u64> {
    remove_in_batches(db, cutoff, async |_| true).await
}

async fn remove_in_batches(db: &Db, cutoff: Instant, mut go_on: impl AsyncFnMut(usize) -> bool) -> Result<u64> {
    let mut removed = 0;
    let mut goes_on = async |some: u64| go_on(usize::try_from(some).unwrap_or(usize::MAX)).await;
    loop {
        match db.write(async move |conn: &mut Conn<'_>| delete_without_account(conn, cutoff).await).await? {
            0 => break,
            some => {
                removed += some;
                if !goes_on(some).await {
                    return Ok(removed);
                }
            }
        }
    }
    let mut last = String::new();
    loop {
        let oldest = db.read(async move |conn: &mut Conn<'_>| oldest_events(conn, &last).await).await?;
        let Some((newest, _)) = oldest.last() else { return Ok(removed) };
        last = newest.clone();
        // Reading the first event of each account takes a while too, if there are millions.
        if !goes_on(0).await {
            return Ok(removed);
        }
        for (id, _) in oldest.into_iter().filter(|(_, at)| at.is_some_and(|at| at <= cutoff)) {
            loop {
                let account_id = id.clone();
                match db.write(async move |conn: &mut Conn<'_>| delete_oldest(conn, account_id, cutoff).await).await? {
                    0 => break,
                    some => {
                        removed += some;
                        if !goes_on(some).await {
                            return Ok(removed);
                        }
                    }
                }
            }
        }
    }
}

/// Whether the account has more events than this.
pub async fn has_more_than(conn: &mut Conn<'_>, account_id: &str, many: i64) -> Result<bool> {
    let own = audit::table.filter(audit::account_id.eq(account_id)).order(audit::id).select(audit::id);
    let one: Option<i64> = find!(conn, first(own.offset(many)))?;
    Ok(one.is_some())
}

/// Deletes the oldest events of an account that is being deleted. Returns their number: 0 if none are left, or if the
/// chain does not verify.
pub async fn delete_some(conn: &mut Conn<'_>, account_id: &str) -> Result<u64> {
    let now: Instant = run!(conn, get_result(diesel::select(now())))?;
    delete_oldest(conn, account_id.to_owned(), now).await
}

/// The next accounts, each with the time of its oldest event. Takes one primary-key lookup per account. A deleted account
/// keeps the event of its deletion.
async fn oldest_events(conn: &mut Conn<'_>, after: &str) -> Result<Vec<(String, Option<Instant>)>> {
    let own = audit::table.filter(audit::account_id.eq(trails::account_id));
    let oldest = own.order(audit::id).limit(1).select(audit::at).single_value();
    let open = trails::table.filter(trails::closed_at.is_null());
    let next = open.filter(trails::account_id.gt(after)).order(trails::account_id).limit(BATCH);
    run!(conn, load(next.select((trails::account_id, oldest))))
}

/// Deletes the next batch of old events without an account, which are not chained. Returns their number. The ids of
/// these events grow with time, so that the oldest come first.
async fn delete_without_account(conn: &mut Conn<'_>, cutoff: Instant) -> Result<u64> {
    let without_account = || audit::table.filter(audit::account_id.eq(NOBODY));
    let oldest = without_account().order(audit::id).limit(BATCH).select((audit::id, audit::at));
    let oldest: Vec<(i64, Instant)> = run!(conn, load(oldest))?;
    let ids: Vec<i64> = oldest.into_iter().filter(|(_, at)| *at <= cutoff).map(|(id, _)| id).collect();
    if ids.is_empty() {
        return Ok(0);
    }
    let removed = run!(conn, execute(diesel::delete(without_account().filter(audit::id.eq_any(&ids)))))?;
    Ok(u64::try_from(removed).unwrap_or_default())
}

/// Deletes the next batch of an account's old events. Returns their number.
async fn delete_oldest(conn: &mut Conn<'_>, account_id: String, cutoff: Instant) -> Result<u64> {
    let keys = conn.audit_keys()?.clone();
    let head = trails::table.filter(trails::account_id.eq(&account_id)).select(trails::account_id);
    let _: Vec<String> = run!(conn, load(ForUpdate::wait(head)))?;
    let before = checkpoint::read(conn, &account_id).await?;
    let mut walk = Walk::new(&keys, account_id.clone(), before.as_ref());
    let mut wrong = walk.check_beginning(before.as_ref())?.is_some();
    let (rows, _) = walk.read(conn).await?;
    let mut ids = Vec::new();
    for row in rows.iter().take_while(|row| row.at <= cutoff) {
        wrong |= walk.is_gap(row) || walk.step(row)?.is_some();
        ids.push(row.id);
    }
    anchor::forget(conn, &account_id, cutoff).await?;
    if wrong {
        tracing::error!(
            account = %account_id,
            "old events not deleted: the audit chain does not verify, run `sessile doctor`"
        );
        return Ok(0);
    }
    if ids.is_empty() {
        return Ok(0);
    }
    let now = Checkpoint::new(&keys, &account_id, [walk.links, walk.unchained], walk.digest)?;
    now.write(conn, &account_id).await?;
    let own = audit::table.filter(audit::account_id.eq(&account_id)).filter(audit::id.eq_any(&ids));
    let removed = run!(conn, execute(diesel::delete(own)))?;
    Ok(u64::try_from(removed).unwrap_or_default())
}
