//! The reads and writes of a transaction on an account's drafts. The number of statements does not grow with the number
//! of drafts. Called by [`sync`](crate::actions::sync).
//!
//! Invariant: the caller has locked the account's row.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, SelectableHelper as _,
    dsl::{count_star, sum},
};

use super::{
    book::{Book, Usage},
    result::First,
    stored::Draft,
    sweep,
};
use crate::{
    base::{
        db::{
            Conn, DraftRow, DraftRows, Instant, find, octet_length, run,
            schema::{accounts, drafts, operations},
        },
        error::{Error, Result},
    },
    records::news,
};

#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// The count of all changes.
    pub revision: i64,
    /// The count at the newest deletion that was forgotten.
    pub floor: i64,
}

/// An operation that was applied.
#[derive(Debug)]
pub struct Remembered {
    pub digest: Vec<u8>,
    pub first: First,
}

pub async fn counts(conn: &mut Conn<'_>, account_id: &str) -> Result<Counts> {
    let row = accounts::table.filter(accounts::id.eq(account_id)).select((accounts::revision, accounts::drafts_floor));
    let (revision, floor) = find!(conn, first(row))?.ok_or(Error::NotFound)?;
    Ok(Counts { revision, floor })
}

/// Loads the account's drafts with these ids, deleted or not.
pub async fn load(conn: &mut Conn<'_>, account_id: &str, ids: &BTreeSet<&str>) -> Result<Vec<Draft>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = ids.iter().copied().collect();
    run!(
        conn,
        load(
            drafts::table
                .filter(drafts::account_id.eq(account_id).and(drafts::id.eq_any(ids)))
                .select(Draft::as_select())
        )
    )
}

/// How much the account stores in drafts that are not deleted.
pub async fn usage(conn: &mut Conn<'_>, account_id: &str) -> Result<Usage> {
    let living = drafts::account_id.eq(account_id).and(drafts::deleted_at.is_null());
    let all = drafts::table.filter(living).select((count_star(), sum(octet_length(drafts::text))));
    let (drafts, bytes): (i64, Option<i64>) = run!(conn, get_result(all))?;
    Ok(Usage { drafts, bytes: u64::try_from(bytes.unwrap_or(0)).unwrap_or(0) })
}

/// Writes the changed drafts and the account's count of changes.
pub async fn write(conn: &mut Conn<'_>, account_id: &str, book: &Book) -> Result<()> {
    let rows: Vec<DraftRow<'_>> = book.changed().into_iter().map(Draft::row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    run!(conn, execute(DraftRows { account_id, drafts: &rows }))?;
    let account = accounts::table.filter(accounts::id.eq(account_id));
    run!(conn, execute(diesel::update(account).set(accounts::revision.eq(book.revision))))?;
    if book.is_more_than_edited {
        sweep::forget_most_deleted(conn, account_id).await?;
    }
    news::drafts_changed(conn, account_id)
}

/// Deletes all drafts and operations of an account that is being deleted.
pub async fn delete_all(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    run!(conn, execute(diesel::delete(drafts::table.filter(drafts::account_id.eq(account_id)))))?;
    run!(conn, execute(diesel::delete(operations::table.filter(operations::account_id.eq(account_id)))))?;
    news::drafts_changed(conn, account_id)
}

/// Whether the account has more drafts or operations than this.
pub async fn has_more_than(conn: &mut Conn<'_>, account_id: &str, many: i64) -> Result<bool> {
    let drafts = drafts::table.filter(drafts::account_id.eq(account_id)).order(drafts::id).select(drafts::id);
    let draft: Option<String> = find!(conn, first(drafts.offset(many)))?;
    let own = operations::table.filter(operations::account_id.eq(account_id));
    let operation: Option<String> = find!(conn, first(own.order(operations::id).select(operations::id).offset(many)))?;
    Ok(draft.is_some() || operation.is_some())
}

/// Deletes some drafts and operations of an account that is being deleted. Returns how many.
pub async fn delete_some(conn: &mut Conn<'_>, account_id: &str, most: i64) -> Result<usize> {
    let own = drafts::table.filter(drafts::account_id.eq(account_id));
    let ids: Vec<String> = run!(conn, load(own.order(drafts::id).limit(most).select(drafts::id)))?;
    let some = drafts::table.filter(drafts::account_id.eq(account_id)).filter(drafts::id.eq_any(&ids));
    let mut deleted = if ids.is_empty() { 0 } else { run!(conn, execute(diesel::delete(some)))? };
    let own = operations::table.filter(operations::account_id.eq(account_id));
    let ids: Vec<String> = run!(conn, load(own.order(operations::id).limit(most).select(operations::id)))?;
    let some = operations::table.filter(operations::account_id.eq(account_id)).filter(operations::id.eq_any(&ids));
    deleted += if ids.is_empty() { 0 } else { run!(conn, execute(diesel::delete(some)))? };
    Ok(deleted)
}

/// Finds which of these operations the account has already applied, by id.
pub async fn remembered(
    conn: &mut Conn<'_>,
    account_id: &str,
    ids: &BTreeSet<&str>,
) -> Result<BTreeMap<String, Remembered>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<&str> = ids.iter().copied().collect();
    let rows: Vec<(String, Vec<u8>, String)> = run!(
        conn,
        load(operations::table.filter(operations::account_id.eq(account_id).and(operations::id.eq_any(ids))).select((
            operations::id,
            operations::digest,
            operations::result
        )))
    )?;
    rows.into_iter()
        .map(|(id, digest, result)| {
            let first = serde_json::from_str(&result).map_err(Error::bug)?;
            Ok((id, Remembered { digest, first }))
        })
        .collect()
}

/// Stores the operations that were applied in this transaction.
pub async fn remember(
    conn: &mut Conn<'_>,
    account_id: &str,
    fresh: &[(&String, &Remembered)],
    now: Instant,
) -> Result<()> {
    let rows = fresh
        .iter()
        .map(|(id, Remembered { digest, first })| {
            let first = serde_json::to_string(first).map_err(Error::bug)?;
            Ok((
                operations::account_id.eq(account_id),
                operations::id.eq(*id),
                operations::digest.eq(digest),
                operations::result.eq(first),
                operations::at.eq(now),
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    if !rows.is_empty() {
        run!(conn, execute(diesel::insert_into(operations::table).values(rows)))?;
    }
    Ok(())
}
