//! SQL expressions that the engines spell differently: the current time, row numbers, and merging JSON. Used by the
//! queries of the records.
//!
//! Invariant: each expression means the same on both engines.

use std::{marker::PhantomData, time::Duration};

use diesel::{
    AppearsOnTable, Expression, QueryResult, SelectableExpression,
    backend::Backend,
    expression::{ValidGrouping, is_aggregate},
    pg::Pg,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{BigInt, Bool, Jsonb, Nullable},
    sqlite::Sqlite,
};

use crate::base::{
    error::Result,
    instant::{micros, sql},
    secret::random_bytes,
    words::Words,
};

diesel::define_sql_function! {
    /// A substring of `many` characters, starting at character `from`, counted from 1.
    fn substr(text: diesel::sql_types::Text, from: diesel::sql_types::Integer, many: diesel::sql_types::Integer) -> diesel::sql_types::Text;
}

diesel::define_sql_function! {
    /// The length of a text in bytes.
    fn octet_length(text: diesel::sql_types::Text) -> diesel::sql_types::Integer;
}

pub(super) const POSTGRES_NOW: &str = "statement_timestamp()";
pub(super) const SQLITE_NOW: &str = "(CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000)";

/// The database's current time. On PostgreSQL this is `statement_timestamp()`, because `now()` does not advance within
/// a transaction.
#[derive(Debug, Clone, Copy, QueryId)]
pub struct Now;

/// The database's current time plus or minus a duration.
#[derive(Debug, Clone, Copy, QueryId)]
pub struct ShiftedNow {
    shift_micros: i64,
}

const CURRENT_GENERATION: &str = "(SELECT number FROM session_generation)";

/// Whether a session belongs to the current generation. See `records::session::live`.
#[derive(Debug, Clone, Copy, QueryId)]
pub struct IsOfCurrentGeneration;

impl Expression for IsOfCurrentGeneration {
    type SqlType = Bool;
}
impl<Source> SelectableExpression<Source> for IsOfCurrentGeneration {}
impl<Source> AppearsOnTable<Source> for IsOfCurrentGeneration {}
impl<Clause> ValidGrouping<Clause> for IsOfCurrentGeneration {
    type IsAggregate = is_aggregate::No;
}
impl QueryFragment<Pg> for IsOfCurrentGeneration {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("(sessions.generation = ");
        out.push_sql(CURRENT_GENERATION);
        out.push_sql(")");
        Ok(())
    }
}
impl QueryFragment<Sqlite> for IsOfCurrentGeneration {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        // The plus keeps SQLite from an index on the generation, which nearly all rows share. It does not know that.
        out.push_sql("(+sessions.generation = ");
        out.push_sql(CURRENT_GENERATION);
        out.push_sql(")");
        Ok(())
    }
}

/// The current generation of sessions.
#[derive(Debug, Clone, Copy, QueryId)]
pub struct CurrentGeneration;

impl Expression for CurrentGeneration {
    type SqlType = BigInt;
}
impl<Source> SelectableExpression<Source> for CurrentGeneration {}
impl<Source> AppearsOnTable<Source> for CurrentGeneration {}
impl<Clause> ValidGrouping<Clause> for CurrentGeneration {
    type IsAggregate = is_aggregate::Never;
}
impl<Engine: Backend> QueryFragment<Engine> for CurrentGeneration {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Engine>) -> QueryResult<()> {
        out.push_sql(CURRENT_GENERATION);
        Ok(())
    }
}

/// The database's current time.
pub fn now() -> Now {
    Now
}

/// The database's current time plus `duration`.
pub fn from_now(duration: Duration) -> ShiftedNow {
    ShiftedNow { shift_micros: micros(duration) }
}

/// The database's current time minus `duration`.
pub fn before_now(duration: Duration) -> ShiftedNow {
    ShiftedNow { shift_micros: -micros(duration) }
}

impl Expression for Now {
    type SqlType = sql::Instant;
}
impl<Source> SelectableExpression<Source> for Now {}
impl<Source> AppearsOnTable<Source> for Now {}
impl<Clause> ValidGrouping<Clause> for Now {
    type IsAggregate = is_aggregate::Never;
}
impl QueryFragment<Pg> for Now {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(POSTGRES_NOW);
        Ok(())
    }
}
impl QueryFragment<Sqlite> for Now {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(SQLITE_NOW);
        Ok(())
    }
}

impl Expression for ShiftedNow {
    type SqlType = sql::Instant;
}
impl<Source> SelectableExpression<Source> for ShiftedNow {}
impl<Source> AppearsOnTable<Source> for ShiftedNow {}
impl<Clause> ValidGrouping<Clause> for ShiftedNow {
    type IsAggregate = is_aggregate::Never;
}
impl QueryFragment<Pg> for ShiftedNow {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("(");
        out.push_sql(POSTGRES_NOW);
        out.push_sql(" + interval '1 microsecond' * ");
        out.push_bind_param::<BigInt, _>(&self.shift_micros)?;
        out.push_sql(")");
        Ok(())
    }
}
impl QueryFragment<Sqlite> for ShiftedNow {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("(");
        out.push_sql(SQLITE_NOW);
        out.push_sql(" + ");
        out.push_bind_param::<BigInt, _>(&self.shift_micros)?;
        out.push_sql(")");
        Ok(())
    }
}

/// The database's current time, or NULL. Written as one or the other, because an update of [distributed](super::citus)
/// tables may have no time within a CASE.
#[derive(Debug, Clone, Copy)]
pub struct NowIf(bool);

/// The database's current time if `condition` holds, otherwise NULL.
pub fn now_if(condition: bool) -> NowIf {
    NowIf(condition)
}

impl Expression for NowIf {
    type SqlType = Nullable<sql::Instant>;
}
impl<Source> SelectableExpression<Source> for NowIf {}
impl<Source> AppearsOnTable<Source> for NowIf {}
impl<Clause> ValidGrouping<Clause> for NowIf {
    type IsAggregate = is_aggregate::Never;
}
impl QueryId for NowIf {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl QueryFragment<Pg> for NowIf {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(if self.0 { POSTGRES_NOW } else { "NULL" });
        Ok(())
    }
}
impl QueryFragment<Sqlite> for NowIf {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(if self.0 { SQLITE_NOW } else { "NULL" });
        Ok(())
    }
}

/// A number for a row that is inserted without a lock: the current time in milliseconds, then 20 random bits. Later
/// numbers are greater, except within the same millisecond.
#[derive(Debug, Clone, Copy, QueryId)]
pub struct UnorderedNumber {
    random: i64,
}

impl UnorderedNumber {
    pub fn new() -> Result<Self> {
        let [a, b, c] = random_bytes()?;
        Ok(Self { random: i64::from(u32::from_be_bytes([0, a & 0x0f, b, c])) })
    }
}

impl Expression for UnorderedNumber {
    type SqlType = BigInt;
}
impl<Source> SelectableExpression<Source> for UnorderedNumber {}
impl<Source> AppearsOnTable<Source> for UnorderedNumber {}
impl<Clause> ValidGrouping<Clause> for UnorderedNumber {
    type IsAggregate = is_aggregate::Never;
}

impl QueryFragment<Pg> for UnorderedNumber {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("((extract(epoch FROM ");
        out.push_sql(POSTGRES_NOW);
        out.push_sql(") * 1000)::bigint * 1048576 + ");
        out.push_bind_param::<BigInt, _>(&self.random)?;
        out.push_sql(")");
        Ok(())
    }
}

impl QueryFragment<Sqlite> for UnorderedNumber {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("(");
        out.push_sql(SQLITE_NOW);
        out.push_sql(" / 1000 * 1048576 + ");
        out.push_bind_param::<BigInt, _>(&self.random)?;
        out.push_sql(")");
        Ok(())
    }
}

/// A JSON object column with `patch` merged into it. A null in the patch removes its key. Values must not be objects:
/// SQLite would merge nested objects, PostgreSQL would replace them.
#[derive(Debug, Clone, QueryId)]
pub struct Merged<Column> {
    column: Column,
    patch: serde_json::Value,
}

/// Merges `patch` into `column`; see [`Merged`].
pub fn merged<Column>(column: Column, patch: serde_json::Value) -> Merged<Column> {
    Merged { column, patch }
}

impl<Column> Expression for Merged<Column> {
    type SqlType = Jsonb;
}
impl<Column, Source> SelectableExpression<Source> for Merged<Column> where Column: SelectableExpression<Source> {}
impl<Column, Source> AppearsOnTable<Source> for Merged<Column> where Column: AppearsOnTable<Source> {}
impl<Column, Clause> ValidGrouping<Clause> for Merged<Column> {
    type IsAggregate = is_aggregate::No;
}

impl<Column: QueryFragment<Pg>> QueryFragment<Pg> for Merged<Column> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("jsonb_strip_nulls(");
        self.column.walk_ast(out.reborrow())?;
        out.push_sql(" || ");
        out.push_bind_param::<Jsonb, _>(&self.patch)?;
        out.push_sql(")");
        Ok(())
    }
}

impl<Column: QueryFragment<Sqlite>> QueryFragment<Sqlite> for Merged<Column> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("jsonb_patch(");
        self.column.walk_ast(out.reborrow())?;
        out.push_sql(", ");
        out.push_bind_param::<Jsonb, _>(&self.patch)?;
        out.push_sql(")");
        Ok(())
    }
}

/// Whether a text column holds a word of `Kind`. The words are part of the statement: SQLite would need a parameter for
/// each of them, and a statement with a list of parameters is not cached.
#[derive(Debug, Clone, Copy)]
pub struct IsWord<Kind, Column> {
    column: Column,
    kind: PhantomData<Kind>,
}

/// Whether `column` holds a word of `Kind`; see `IsWord`.
pub fn is_word<Kind, Column>(column: Column) -> IsWord<Kind, Column> {
    IsWord { column, kind: PhantomData }
}

impl<Kind, Column> Expression for IsWord<Kind, Column> {
    type SqlType = Bool;
}
impl<Kind, Column, Source> SelectableExpression<Source> for IsWord<Kind, Column> where
    Column: SelectableExpression<Source>
{
}
impl<Kind, Column, Source> AppearsOnTable<Source> for IsWord<Kind, Column> where Column: AppearsOnTable<Source> {}
impl<Kind, Column, Clause> ValidGrouping<Clause> for IsWord<Kind, Column> {
    type IsAggregate = is_aggregate::No;
}
impl<Kind: 'static, Column: QueryId> QueryId for IsWord<Kind, Column> {
    type QueryId = IsWord<Kind, Column::QueryId>;
    const HAS_STATIC_QUERY_ID: bool = Column::HAS_STATIC_QUERY_ID;
}

impl<Kind: Words, Column: QueryFragment<Engine>, Engine: Backend> QueryFragment<Engine> for IsWord<Kind, Column> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Engine>) -> QueryResult<()> {
        out.push_sql("(");
        self.column.walk_ast(out.reborrow())?;
        for (n, word) in Kind::WORDS.iter().enumerate() {
            out.push_sql(if n == 0 { " IN ('" } else { "', '" });
            out.push_sql(word);
        }
        out.push_sql("'))");
        Ok(())
    }
}
