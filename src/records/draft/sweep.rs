//! Deletes operations after 30 days and deleted drafts after 90 days. Called by the sweep of `serve` and by `prune`.
//!
//! Invariant: a client that missed a deletion forgotten here must start over. The account's floor identifies such
//! clients.

use std::time::Duration;

use diesel::{BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _};

use super::stored::MOST;
use crate::{
    base::{
        db::{
            Conn, Db, ForUpdate, before_now, find, run,
            schema::{accounts, drafts, operations},
        },
        error::Result,
    },
    records::account,
};

const OPERATIONS_KEPT: Duration = Duration::from_secs(30 * 86_400);
const DELETED_KEPT: Duration = Duration::from_secs(90 * 86_400);
/// Most deletions that are kept per account: as many as it may have drafts.
const MOST_DELETED: i64 = 2 * MOST;
/// Most operations or deleted drafts that one transaction deletes.
const BATCH: i64 = 500;

/// Deletes old operations and old deleted drafts.
pub async fn sweep(db: &Db) -> Result<()> {
    while db.write(forget_operations).await? > 0 {}
    while db.write(forget_deleted).await? > 0 {}
    Ok(())
}

/// Forgets the oldest deletions of an account that has too many. Runs in the caller's transaction, which has locked the
/// account's row.
pub(super) async fn forget_most_deleted(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    let deleted = || drafts::table.filter(drafts::account_id.eq(account_id)).filter(drafts::deleted_at.is_not_null());
    let beyond = deleted().order(drafts::revision.desc()).offset(MOST_DELETED).limit(1).select(drafts::revision);
    let beyond: Option<i64> = find!(conn, first(beyond))?;
    let Some(newest) = beyond else { return Ok(()) };
    raise_floor(conn, account_id, newest).await?;
    run!(conn, execute(diesel::delete(deleted().filter(drafts::revision.le(newest))))).map(drop)
}

async fn raise_floor(conn: &mut Conn<'_>, account_id: &str, floor: i64) -> Result<()> {
    let behind = accounts::table.filter(accounts::id.eq(account_id)).filter(accounts::drafts_floor.lt(floor));
    run!(conn, execute(diesel::update(behind).set(accounts::drafts_floor.eq(floor)))).map(drop)
}

async fn forget_operations(conn: &mut Conn<'_>) -> Result<usize> {
    let old = operations::at.le(before_now(OPERATIONS_KEPT));
    let oldest = operations::table.filter(old).order(operations::at).limit(BATCH);
    let oldest = oldest.select((operations::account_id, operations::id));
    let ids: Vec<(String, String)> = ForUpdate::load_across(conn, oldest).await?;
    let (accounts, ids): (Vec<String>, Vec<String>) = ids.into_iter().unzip();
    if ids.is_empty() {
        return Ok(0);
    }
    let those = operations::account_id.eq_any(accounts).and(operations::id.eq_any(ids)).and(old);
    run!(conn, execute(diesel::delete(operations::table.filter(those))))
}

/// Forgets old deletions of one account, in the order of their revisions. A client at or above the new floor has
/// already received all of them.
async fn forget_deleted(conn: &mut Conn<'_>) -> Result<usize> {
    let old = || drafts::deleted_at.le(before_now(DELETED_KEPT).nullable());
    let oldest = drafts::table.filter(old()).order(drafts::deleted_at).limit(1).select(drafts::account_id);
    let account: Vec<String> = run!(conn, load(oldest))?;
    let Some(id) = account.first() else { return Ok(0) };
    account::lock(conn, id).await?;
    let own = || drafts::table.filter(drafts::account_id.eq(id)).filter(old());
    let some: Vec<i64> = run!(conn, load(own().order(drafts::revision).limit(BATCH).select(drafts::revision)))?;
    let Some(floor) = some.last().copied() else { return Ok(0) };
    raise_floor(conn, id, floor).await?;
    run!(conn, execute(diesel::delete(own().filter(drafts::revision.le(floor)))))
}
