//! Tables that are distributed over several PostgreSQL servers by the extension Citus. Called by the pools, by the
//! statements that reach rows of several accounts, by the migrations, and by `sessile distribute`.
//!
//! A server called the coordinator takes all connections. It sends each statement to the servers that have the rows, the
//! workers. A statement that names one account goes to one worker and may do anything. A statement that names several
//! accounts goes to several workers: it may read and change rows, but it cannot lock the rows that it reads.
//!
//! Invariant: no result depends on whether the tables are distributed. [`Conn::is_distributed`] may be out of date for a
//! moment after `sessile distribute`: a statement that Citus refuses then fails, and changes nothing.

mod distribute;
mod migration;
mod placement;

use std::collections::BTreeMap;

use diesel::{
    QueryableByName, sql_query,
    sql_types::{Array, BigInt, Bool, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

pub(super) use self::{distribute::distribute, migration::OnCitus};
pub use self::{
    distribute::{Outcome, Told},
    placement::{Placements, read as placements},
};
use super::{
    conn::{Conn, EngineConn, within},
    database::Db,
};
use crate::base::error::{Error, Result};

/// The advisory lock of the work on rows of many accounts; see [`begin_walk`].
const WALK_LOCK: i64 = 0x7365_7373_7761_6c6b;

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    value: bool,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// Whether the tables are distributed.
pub(super) async fn look(conn: &mut AsyncPgConnection) -> Result<bool> {
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
pub(super) fn is_about_worker(cause: &str) -> bool {
    cause.contains("the remote node") || cause.contains("connections to the node")
}

/// Makes the transaction the only one that works on rows of many accounts. Without `wait`, returns false if there is
/// another one. Two such transactions at once would lock the rows of different workers in different orders.
pub(super) async fn begin_walk(conn: &mut Conn<'_>, wait: bool) -> Result<bool> {
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

/// Groups rows by the part of the tables that has their accounts, so that a statement on one group goes to one worker.
pub async fn by_part<Row>(db: &Db, rows: Vec<Row>, account: impl Fn(&Row) -> &str) -> Result<Vec<Vec<Row>>> {
    let accounts: Vec<String> = rows.iter().map(|row| account(row).to_owned()).collect();
    let parts: Vec<i64> = db
        .read(async move |conn: &mut Conn<'_>| {
            let EngineConn::Postgres(conn, deadline) = &mut conn.engine else {
                return Err(Error::bug("this is not PostgreSQL"));
            };
            let parts = "SELECT get_shard_id_for_distribution_column('accounts', account)::bigint AS value \
                 FROM unnest($1::text[]) WITH ORDINALITY AS named (account, place) ORDER BY place";
            let parts = sql_query(parts).bind::<Array<Text>, _>(&accounts);
            let parts: Vec<Number> = within(*deadline, parts.load(*conn)).await?;
            Ok(parts.into_iter().map(|part| part.value).collect())
        })
        .await?;
    let mut groups: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    for (part, row) in parts.into_iter().zip(rows) {
        groups.entry(part).or_default().push(row);
    }
    Ok(groups.into_values().collect())
}
