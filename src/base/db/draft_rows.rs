//! Writes many drafts in one statement, which diesel cannot build for both engines. Called by the draft records.
//!
//! Invariant: all drafts of a statement belong to one account.

use diesel::{
    QueryResult, RunQueryDsl,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{BigInt, Bool, Nullable, Text},
    sqlite::Sqlite,
};

use crate::base::instant::{Instant, sql};

/// A row of `drafts`, without its account.
#[derive(Debug, Clone, Copy)]
pub struct DraftRow<'a> {
    pub id: &'a str,
    pub text: &'a str,
    pub version: i64,
    pub revision: i64,
    pub updated_at: Instant,
    pub updated_on: &'a str,
    pub conflict_of: Option<&'a str>,
    pub deleted_at: Option<Instant>,
    pub forked_at: Option<i64>,
}

/// Inserts drafts of one account, and overwrites those that exist.
#[derive(Debug, Clone, Copy)]
pub struct DraftRows<'a> {
    pub account_id: &'a str,
    /// At least one draft, each id once.
    pub drafts: &'a [DraftRow<'a>],
}

const INSERT: &str = "INSERT INTO drafts (account_id, id, text, version, revision, updated_at, updated_on, conflict_of, \
     deleted_at, forked_at) VALUES ";
const OVERWRITE: &str = " ON CONFLICT (account_id, id) DO UPDATE SET text = excluded.text, version = excluded.version, \
     revision = excluded.revision, updated_at = excluded.updated_at, updated_on = excluded.updated_on, \
     conflict_of = excluded.conflict_of, deleted_at = excluded.deleted_at, forked_at = excluded.forked_at";

/// Adds values with their SQL types to a statement, separated by commas.
macro_rules! bind_values {
    ($out:ident, $first_type:ty => $first:expr, $($sql_type:ty => $value:expr),+ $(,)?) => {
        $out.push_bind_param::<$first_type, _>($first)?;
        $(
            $out.push_sql(", ");
            $out.push_bind_param::<$sql_type, _>($value)?;
        )+
    };
}

impl DraftRows<'_> {
    fn upsert<'b, Engine>(&'b self, out: &mut AstPass<'_, 'b, Engine>) -> QueryResult<()>
    where
        Engine: diesel::backend::Backend
            + diesel::sql_types::HasSqlType<sql::Instant>
            + diesel::sql_types::HasSqlType<Nullable<sql::Instant>>
            + diesel::sql_types::HasSqlType<Nullable<Text>>
            + diesel::sql_types::HasSqlType<Nullable<BigInt>>,
        str: diesel::serialize::ToSql<Text, Engine>,
        i64: diesel::serialize::ToSql<BigInt, Engine>,
        Instant: diesel::serialize::ToSql<sql::Instant, Engine>,
        Option<i64>: diesel::serialize::ToSql<Nullable<BigInt>, Engine>,
        Option<Instant>: diesel::serialize::ToSql<Nullable<sql::Instant>, Engine>,
        for<'t> Option<&'t str>: diesel::serialize::ToSql<Nullable<Text>, Engine>,
    {
        if self.drafts.len() > 1 {
            // Each number of drafts has a text of its own, so such statements would fill the cache.
            out.unsafe_to_cache_prepared();
        }
        out.push_sql(INSERT);
        for (n, row) in self.drafts.iter().enumerate() {
            out.push_sql(if n == 0 { "(" } else { ", (" });
            bind_values!(
                out,
                Text => self.account_id,
                Text => row.id,
                Text => row.text,
                BigInt => &row.version,
                BigInt => &row.revision,
                sql::Instant => &row.updated_at,
                Text => row.updated_on,
                Nullable<Text> => &row.conflict_of,
                Nullable<sql::Instant> => &row.deleted_at,
                Nullable<BigInt> => &row.forked_at,
            );
            out.push_sql(")");
        }
        out.push_sql(OVERWRITE);
        Ok(())
    }
}

impl Query for DraftRows<'_> {
    type SqlType = Bool;
}
impl QueryId for DraftRows<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl<Conn> RunQueryDsl<Conn> for DraftRows<'_> {}

impl QueryFragment<Pg> for DraftRows<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.upsert(&mut out)
    }
}
impl QueryFragment<Sqlite> for DraftRows<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.upsert(&mut out)
    }
}
