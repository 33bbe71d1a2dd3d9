//! Writes the rows of an anchor in one statement, which diesel cannot build for both engines. Called by the audit
//! records.
//!
//! Invariant: an existing row is never changed.

use diesel::{
    QueryResult, RunQueryDsl,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{BigInt, Binary, Bool, Text},
    sqlite::Sqlite,
};

use super::express::{POSTGRES_NOW, SQLITE_NOW};

/// How many links an account's audit chain has, and the digest over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorRow {
    pub account_id: String,
    pub links: i64,
    pub digest: Vec<u8>,
}

/// Inserts the rows of an anchor. An existing row stays, because its account has had no new events since.
#[derive(Debug, Clone, Copy)]
pub struct AnchorRows<'a> {
    /// The anchor's number.
    pub anchor: i64,
    /// At least one row, each account once.
    pub rows: &'a [AnchorRow],
}

impl AnchorRows<'_> {
    fn insert<'b, Engine>(&'b self, out: &mut AstPass<'_, 'b, Engine>, now: &str) -> QueryResult<()>
    where
        Engine: diesel::backend::Backend,
        String: diesel::serialize::ToSql<Text, Engine>,
        i64: diesel::serialize::ToSql<BigInt, Engine>,
        Vec<u8>: diesel::serialize::ToSql<Binary, Engine>,
    {
        if self.rows.len() > 1 {
            // Each number of rows has a text of its own, so such statements would fill the cache.
            out.unsafe_to_cache_prepared();
        }
        out.push_sql("INSERT INTO trail_anchors (account_id, links, digest, anchor, at) VALUES ");
        for (n, row) in self.rows.iter().enumerate() {
            out.push_sql(if n == 0 { "(" } else { ", (" });
            out.push_bind_param::<Text, _>(&row.account_id)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&row.links)?;
            out.push_sql(", ");
            out.push_bind_param::<Binary, _>(&row.digest)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&self.anchor)?;
            out.push_sql(", ");
            out.push_sql(now);
            out.push_sql(")");
        }
        out.push_sql(" ON CONFLICT (account_id, links) DO NOTHING");
        Ok(())
    }
}

impl Query for AnchorRows<'_> {
    type SqlType = Bool;
}
impl QueryId for AnchorRows<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl<Conn> RunQueryDsl<Conn> for AnchorRows<'_> {}

impl QueryFragment<Pg> for AnchorRows<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.insert(&mut out, POSTGRES_NOW)
    }
}
impl QueryFragment<Sqlite> for AnchorRows<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.insert(&mut out, SQLITE_NOW)
    }
}
