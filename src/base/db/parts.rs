//! Groups rows by the part of the [distributed](super::citus) tables that has their accounts. Called by the records whose
//! statements change rows of many accounts.
//!
//! Invariant: all rows of a group are on one worker.

use std::collections::BTreeMap;

use diesel::{
    QueryableByName, sql_query,
    sql_types::{Array, BigInt, Text},
};
use diesel_async::RunQueryDsl as _;

use super::{
    conn::{Conn, EngineConn, within},
    database::Db,
};
use crate::base::error::{Error, Result};

#[derive(QueryableByName)]
struct Part {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Groups rows by the part of the tables that has their accounts, so that a statement on one group goes to one worker. Only
/// for distributed tables.
pub async fn by_part<Row>(db: &Db, rows: Vec<Row>, account: impl Fn(&Row) -> &str) -> Result<Vec<Vec<Row>>> {
    let accounts: Vec<String> = rows.iter().map(|row| account(row).to_owned()).collect();
    let parts: Vec<i64> = db
        .read(async move |conn: &mut Conn<'_>| {
            let EngineConn::Postgres(conn, deadline) = &mut conn.engine else {
                return Err(Error::bug("this is not PostgreSQL"));
            };
            let parts = "SELECT get_shard_id_for_distribution_column('accounts', account)::bigint AS id \
                 FROM unnest($1::text[]) WITH ORDINALITY AS named (account, place) ORDER BY place";
            let parts = sql_query(parts).bind::<Array<Text>, _>(&accounts);
            let parts: Vec<Part> = within(*deadline, parts.load(*conn)).await?;
            Ok(parts.into_iter().map(|part| part.id).collect())
        })
        .await?;
    let mut groups: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    for (part, row) in parts.into_iter().zip(rows) {
        groups.entry(part).or_default().push(row);
    }
    Ok(groups.into_values().collect())
}
