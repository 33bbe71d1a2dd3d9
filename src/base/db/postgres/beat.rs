//! The beat of a node on PostgreSQL: one statement that notes the beat in the node's row and notifies the node itself.
//! Called by `db::nodes`.

use diesel::{
    OptionalExtension as _, QueryableByName,
    sql_types::{BigInt, Text},
};
use diesel_async::RunQueryDsl as _;

use super::listen::own_channel;
use crate::base::{
    db::{
        conn::{Conn, EngineConn, within},
        message::Line,
        nodes::Beaten,
    },
    error::{Error, Result},
    instant::{Instant, sql},
};

/// Nothing is notified without the row, or while it is doubted. A beat need not survive a crash, so its commit does not
/// wait for the disk.
const BEAT: &str = "WITH quick AS (SELECT set_config('synchronous_commit', 'off', true)), \
     beaten AS (UPDATE nodes SET beaten_at = statement_timestamp() WHERE id = $1 AND doubt IS NULL \
     RETURNING 1) \
     SELECT statement_timestamp() AS at, (SELECT count(*) FROM nodes WHERE id <> $1) AS others, \
     pg_notify($2, $3)::text AS sent FROM beaten, quick";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = sql::Instant)]
    at: Instant,
    #[diesel(sql_type = BigInt)]
    others: i64,
}

/// Sends a beat. `None` if the node has no row, or a doubted one.
pub async fn beat(conn: &mut Conn<'_>, node: &str, number: u64) -> Result<Option<Beaten>> {
    let EngineConn::Postgres(conn, deadline) = &mut conn.engine else {
        return Err(Error::bug("this is not PostgreSQL"));
    };
    let query = diesel::sql_query(BEAT)
        .bind::<Text, _>(node)
        .bind::<Text, _>(own_channel(node))
        .bind::<Text, _>(Line::Beat(number).to_string());
    let row: Option<Row> = within(*deadline, async { query.get_result(*conn).await.optional() }).await?;
    Ok(row.map(|Row { at, others }| Beaten { at, others, number: None }))
}
