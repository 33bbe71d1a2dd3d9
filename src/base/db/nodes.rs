//! The rows of the nodes that may answer from memory. Called by the engines and by [`keep_lease`](super::keep_lease).
//!
//! Invariant: a node has a row before it caches anything, and sends no beat without its row.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::{ExpressionMethods as _, QueryDsl as _};

use super::{
    conn::{Conn, EngineConn},
    express::{before_now, now},
    query::{find, run},
    schema::nodes,
};
use crate::base::{error::Result, instant::Instant};

/// A node that has not beaten for this long is taken for dead by whoever waits for it in vain.
const DEAD_AFTER: Duration = Duration::from_secs(10);

/// What a beat learned.
pub(super) struct Beaten {
    /// The database's time.
    pub(super) at: Instant,
    /// How many other nodes have a row.
    pub(super) others: i64,
}

/// Adds the node's row.
pub(super) async fn join(conn: &mut Conn<'_>, node: &str) -> Result<()> {
    let row = (nodes::id.eq(node), nodes::beaten_at.eq(now()));
    let insert = diesel::insert_into(nodes::table).values(row);
    run!(conn, execute(insert.on_conflict(nodes::id).do_update().set(nodes::beaten_at.eq(now())))).map(drop)
}

/// Removes the node's row.
pub(super) async fn leave(conn: &mut Conn<'_>, node: &str) -> Result<()> {
    run!(conn, execute(diesel::delete(nodes::table.find(node)))).map(drop)
}

/// The other nodes that have a row.
pub(super) async fn others(conn: &mut Conn<'_>, node: &str) -> Result<BTreeSet<String>> {
    let rows: Vec<String> = run!(conn, load(nodes::table.filter(nodes::id.ne(node)).select(nodes::id)))?;
    Ok(rows.into_iter().collect())
}

/// Removes those of `silent` that have not beaten for a while. On SQLite, where beats leave no trace in the database,
/// removes them all.
///
/// Call this only for nodes that did not confirm a change in time. If the database's clock was set forward, the row of a
/// node with a lease looks old too.
pub(super) async fn remove_dead(conn: &mut Conn<'_>, silent: &BTreeSet<String>) -> Result<usize> {
    let silent = nodes::table.filter(nodes::id.eq_any(silent.iter().cloned().collect::<Vec<_>>()));
    if matches!(conn.engine, EngineConn::Sqlite(_)) {
        return run!(conn, execute(diesel::delete(silent)));
    }
    run!(conn, execute(diesel::delete(silent.filter(nodes::beaten_at.lt(before_now(DEAD_AFTER))))))
}

/// Reads the node's row on SQLite. `None` without a row: there is no beat.
pub(super) async fn beat_on_file(conn: &mut Conn<'_>, node: &str) -> Result<Option<Beaten>> {
    let row: Option<Instant> = find!(conn, first(nodes::table.find(node).select(now())))?;
    let Some(at) = row else { return Ok(None) };
    let others: i64 = run!(conn, get_result(nodes::table.filter(nodes::id.ne(node)).count()))?;
    Ok(Some(Beaten { at, others }))
}
