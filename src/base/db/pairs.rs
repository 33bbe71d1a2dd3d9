//! A condition that selects many rows by a two-column key, which diesel cannot build for both engines. A list of values
//! for each column would also match every other combination of them. Used by the records of sessions and devices.
//!
//! Invariant: an empty list of pairs selects nothing.

use diesel::{
    AppearsOnTable, Expression, QueryResult, SelectableExpression,
    expression::{ValidGrouping, is_aggregate},
    pg::Pg,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{Array, Bool, Text},
    sqlite::Sqlite,
};

/// Whether two columns together equal one of these pairs of values.
#[derive(Debug, Clone)]
pub struct PairIn<First, Second> {
    columns: (First, Second),
    values: (Vec<String>, Vec<String>),
}

/// Whether `columns` equal one of `pairs`; see [`PairIn`].
pub fn pair_in<'a, First, Second>(
    columns: (First, Second),
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) -> PairIn<First, Second> {
    PairIn { columns, values: pairs.map(|(first, second)| (first.to_owned(), second.to_owned())).unzip() }
}

impl<First, Second> Expression for PairIn<First, Second> {
    type SqlType = Bool;
}
impl<First, Second, Source> SelectableExpression<Source> for PairIn<First, Second>
where
    First: SelectableExpression<Source>,
    Second: SelectableExpression<Source>,
{
}
impl<First, Second, Source> AppearsOnTable<Source> for PairIn<First, Second>
where
    First: AppearsOnTable<Source>,
    Second: AppearsOnTable<Source>,
{
}
impl<First, Second, Clause> ValidGrouping<Clause> for PairIn<First, Second> {
    type IsAggregate = is_aggregate::No;
}
impl<First, Second> QueryId for PairIn<First, Second> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<First: QueryFragment<Pg>, Second: QueryFragment<Pg>> QueryFragment<Pg> for PairIn<First, Second> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("(");
        self.columns.0.walk_ast(out.reborrow())?;
        out.push_sql(", ");
        self.columns.1.walk_ast(out.reborrow())?;
        out.push_sql(") IN (SELECT * FROM unnest(");
        out.push_bind_param::<Array<Text>, _>(&self.values.0)?;
        out.push_sql("::text[], ");
        out.push_bind_param::<Array<Text>, _>(&self.values.1)?;
        out.push_sql("::text[]))");
        Ok(())
    }
}

impl<First: QueryFragment<Sqlite>, Second: QueryFragment<Sqlite>> QueryFragment<Sqlite> for PairIn<First, Second> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("(");
        self.columns.0.walk_ast(out.reborrow())?;
        out.push_sql(", ");
        self.columns.1.walk_ast(out.reborrow())?;
        out.push_sql(") IN (");
        // Each number of pairs has a text of its own, so such statements would fill the cache.
        out.unsafe_to_cache_prepared();
        if self.values.0.is_empty() {
            out.push_sql("SELECT NULL, NULL WHERE FALSE");
        }
        for (n, (first, second)) in self.values.0.iter().zip(&self.values.1).enumerate() {
            out.push_sql(if n == 0 { "VALUES (" } else { ", (" });
            out.push_bind_param::<Text, _>(first)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(second)?;
            out.push_sql(")");
        }
        out.push_sql(")");
        Ok(())
    }
}
