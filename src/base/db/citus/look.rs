//! What this program asks of a server that may have Citus. Called by the pools, and by the other modules of this folder.
//!
//! Invariant: a server without Citus is asked nothing that it does not understand.

use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Bool, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

use crate::base::{
    db::conn::{Conn, EngineConn, within},
    error::Result,
};

/// The advisory lock of the work on rows of many accounts; see [`begin_walk`].
const WALK_LOCK: i64 = 0x7365_7373_7761_6c6b;

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    value: bool,
}

#[derive(QueryableByName)]
pub(super) struct Line {
    #[diesel(sql_type = Text)]
    pub(super) value: String,
}

/// Whether the tables are distributed.
pub async fn look(conn: &mut AsyncPgConnection) -> Result<bool> {
    let present = "SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL AS value";
    let answer: Answer = sql_query(present).get_result(conn).await?;
    if !answer.value {
        return Ok(false);
    }
    let distributed =
        "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass('accounts')) AS value";
    let answer: Answer = sql_query(distributed).get_result(conn).await?;
    Ok(answer.value)
}

/// Whether the coordinator reports with these words that a worker is away. Its own connection is in order then. Citus
/// reports in English only.
pub fn is_about_worker(cause: &str) -> bool {
    cause.contains("the remote node") || cause.contains("connections to the node")
}

/// Makes the transaction the only one that works on rows of many accounts. Without `wait`, returns false if there is
/// another one. Two such transactions at once would lock the rows of different workers in different orders.
pub async fn begin_walk(conn: &mut Conn<'_>, wait: bool) -> Result<bool> {
    let EngineConn::Postgres(conn, deadline) = &mut conn.engine else { return Ok(true) };
    if wait {
        let locked = sql_query("SELECT pg_advisory_xact_lock($1) IS NOT NULL AS value").bind::<BigInt, _>(WALK_LOCK);
        within(*deadline, locked.execute(*conn)).await?;
        return Ok(true);
    }
    let locked = sql_query("SELECT pg_try_advisory_xact_lock($1) AS value").bind::<BigInt, _>(WALK_LOCK);
    let answer: Answer = within(*deadline, locked.get_result(*conn)).await?;
    Ok(answer.value)
}
