//! The rows of the nodes that may answer from memory. Called by the engines and by [`keep_lease`](super::keep_lease).
//!
//! Invariant: a node has a row before it caches anything, and sends no beat without its row, or while its row is doubted.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{ExpressionMethods as _, QueryDsl as _};

use super::{
    conn::Conn,
    express::now,
    query::{find, run},
    schema::{announcements, nodes},
};
use crate::base::{
    coherence::{DOUBT, Moment},
    error::{Error, Result},
    instant::Instant,
    secret,
};

/// What a beat learned.
pub(super) struct Beaten {
    /// The database's time.
    pub(super) at: Instant,
    /// How many other nodes have a row.
    pub(super) others: i64,
    /// The number of the last announcement. `None` on PostgreSQL.
    pub(super) number: Option<u64>,
}

/// The other nodes that had a row after a commit.
#[derive(Default)]
pub(super) struct Others {
    rows: BTreeMap<String, Row>,
    /// A moment after the rows were read.
    read_at: Moment,
}

struct Row {
    beaten_at: Instant,
    doubt: Option<String>,
}

/// Nodes that have not confirmed a change.
#[derive(Default)]
pub(super) struct Unconfirmed {
    /// They do not listen: their sockets refused a connection after their rows were read.
    pub(super) refusing: BTreeSet<String>,
    /// They did not confirm in time.
    pub(super) silent: BTreeSet<String>,
}

impl Others {
    /// Reads the rows.
    pub(super) async fn after_commit(conn: &mut Conn<'_>, node: &str) -> Self {
        let columns = (nodes::id, nodes::beaten_at, nodes::doubt);
        let others = nodes::table.filter(nodes::id.ne(node)).select(columns);
        let rows: Result<Vec<(String, Instant, Option<String>)>> = run!(conn, load(others));
        let Ok(rows) = rows else { return Self::unknown(node) };
        let rows = rows.into_iter().map(|(id, beaten_at, doubt)| (id, Row { beaten_at, doubt }));
        Self { rows: rows.collect(), read_at: Moment::now() }
    }

    /// The rows could not be read, so there may be any: this node's own name, which never confirms, stands for them.
    pub(super) fn unknown(node: &str) -> Self {
        let row = Row { beaten_at: Instant::from_micros(0), doubt: None };
        Self { rows: BTreeMap::from([(node.to_owned(), row)]), read_at: Moment::now() }
    }

    pub(super) fn names(&self) -> BTreeSet<String> {
        self.rows.keys().cloned().collect()
    }

    /// Whether any of these nodes has a row.
    pub(super) fn have(&self, unconfirmed: &Unconfirmed) -> bool {
        unconfirmed.refusing.iter().chain(&unconfirmed.silent).any(|node| self.rows.contains_key(node))
    }
}

/// Adds the node's row, or renews it.
pub(super) async fn join(conn: &mut Conn<'_>, node: &str) -> Result<()> {
    let insert = diesel::insert_into(nodes::table).values((nodes::id.eq(node), nodes::beaten_at.eq(now())));
    let renewed = (nodes::beaten_at.eq(now()), nodes::doubt.eq(None::<String>));
    run!(conn, execute(insert.on_conflict(nodes::id).do_update().set(renewed))).map(drop)
}

/// Removes the node's row.
pub(super) async fn leave(conn: &mut Conn<'_>, node: &str) -> Result<()> {
    run!(conn, execute(diesel::delete(nodes::table.find(node)))).map(drop)
}

/// Whether another node has a row.
pub(super) async fn has_others(conn: &mut Conn<'_>, node: &str) -> Result<bool> {
    let others: i64 = run!(conn, get_result(nodes::table.filter(nodes::id.ne(node)).count()))?;
    Ok(others > 0)
}

/// Doubts the rows of silent nodes, and removes those that have been doubted for long enough; see
/// [`coherence`](crate::base::coherence). Removes the rows of nodes that do not listen: such a node has no lease, and
/// renews its row, and so its time, before it has one again. Beats leave no trace in the row on SQLite.
pub(super) async fn remove_silent(
    conn: &mut Conn<'_>,
    node: &str,
    others: &Others,
    unconfirmed: &Unconfirmed,
) -> Result<()> {
    let waited = Moment::now().since(others.read_at);
    let word = secret::random_name("")?;
    for (id, row) in others.rows.iter().filter(|(id, _)| *id != node) {
        let unchanged = nodes::table.find(id);
        if unconfirmed.refusing.contains(id) {
            let unchanged = unchanged.filter(nodes::beaten_at.eq(row.beaten_at));
            run!(conn, execute(diesel::delete(unchanged)))?;
        } else if unconfirmed.silent.contains(id) {
            match &row.doubt {
                Some(doubt) if waited >= DOUBT => {
                    run!(conn, execute(diesel::delete(unchanged.filter(nodes::doubt.eq(doubt)))))?;
                }
                Some(_) => {}
                None => {
                    let doubted = diesel::update(unchanged.filter(nodes::doubt.is_null()));
                    run!(conn, execute(doubted.set(nodes::doubt.eq(&word))))?;
                }
            }
        }
    }
    Ok(())
}

/// Reads the node's row on SQLite. `None` without a row, and with a doubted one: there is no beat.
pub(super) async fn beat_on_file(conn: &mut Conn<'_>, node: &str) -> Result<Option<Beaten>> {
    let own = nodes::table.find(node).filter(nodes::doubt.is_null());
    let row: Option<Instant> = find!(conn, first(own.select(now())))?;
    let Some(at) = row else { return Ok(None) };
    let others: i64 = run!(conn, get_result(nodes::table.filter(nodes::id.ne(node)).count()))?;
    let number: Option<i64> = find!(conn, first(announcements::table.find(1).select(announcements::number)))?;
    let number = u64::try_from(number.unwrap_or(0)).map_err(Error::bug)?;
    Ok(Some(Beaten { at, others, number: Some(number) }))
}
