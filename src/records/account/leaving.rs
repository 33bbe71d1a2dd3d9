//! Accounts that are going to be deleted: because their person asked for it, or because they are so large that their rows
//! are deleted in batches. Called by the actions on people and by the sweep.
//!
//! Invariant: nobody can sign in to an account whose time to return is over.

use std::iter;

use diesel::{BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _};

use super::TIME_TO_RETURN;
use crate::{
    base::{
        db::{Conn, ForUpdate, Instant, ShiftedNow, before_now, find, now, run, schema::accounts},
        error::Result,
    },
    records::news,
};

/// Notes that the person asked for the deletion of the account. The caller ends its sessions in the same transaction.
pub async fn ask(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    let own = accounts::table.filter(accounts::id.eq(id));
    run!(conn, execute(diesel::update(own).set(accounts::deletion_asked_at.eq(now().nullable())))).map(drop)
}

/// Notes that the account is being deleted in batches, by this account or operator: its time to return is over at once.
/// The caller ends its sessions in the same transaction.
pub async fn begin(conn: &mut Conn<'_>, id: &str, by: &str) -> Result<()> {
    let own = accounts::table.filter(accounts::id.eq(id));
    let set = (
        accounts::deletion_asked_at.eq(Some(Instant::from_micros(0))),
        accounts::deletion_by.eq(Some(by)),
        accounts::disabled_at.eq(now().nullable()),
    );
    run!(conn, execute(diesel::update(own).set(set)))?;
    news::looked_up_changed(conn, iter::once(id)).await
}

/// Some accounts whose time to return is over.
pub async fn due(conn: &mut Conn<'_>, most: i64) -> Result<Vec<String>> {
    let due = accounts::deletion_asked_at.is_not_null().and(accounts::deletion_asked_at.le(over().nullable()));
    run!(conn, load(accounts::table.filter(due).order(accounts::deletion_asked_at).limit(most).select(accounts::id)))
}

/// Whether the account's time to return is over. Locks the account's row.
pub async fn has_left(conn: &mut Conn<'_>, id: &str) -> Result<bool> {
    let due = accounts::table.filter(accounts::id.eq(id)).filter(accounts::deletion_asked_at.le(over().nullable()));
    let rows: Vec<String> = run!(conn, load(ForUpdate::wait(due.select(accounts::id))))?;
    Ok(!rows.is_empty())
}

/// Who is deleting the account. `None` if its person asked for it.
pub async fn by(conn: &mut Conn<'_>, id: &str) -> Result<Option<String>> {
    let own = accounts::table.filter(accounts::id.eq(id)).select(accounts::deletion_by);
    Ok(find!(conn, first(own))?.flatten())
}

fn over() -> ShiftedNow {
    before_now(TIME_TO_RETURN)
}
