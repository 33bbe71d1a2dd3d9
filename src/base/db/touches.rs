//! The statement that writes the activity of many sessions, which diesel cannot build for both engines. Called by the
//! session records.
//!
//! Invariants: sessions are locked in order of account and id, so that two nodes cannot deadlock. The statement has the
//! same text for any number of sessions, so each connection prepares it once.

use diesel::{
    QueryResult, RunQueryDsl,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{Array, Bool, Nullable, Text},
    sqlite::Sqlite,
};

use super::{conn::Conn, express::IsOfCurrentGeneration, query::run};
use crate::base::{
    error::Result,
    instant::{Instant, sql},
};

/// One session's activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TouchRow {
    pub account_id: String,
    /// The session's id.
    pub id: String,
    /// When the session was used.
    pub at: Instant,
    /// When the session expires if it is not used again.
    pub expires_at: Instant,
    /// The client address of that use.
    pub ip: Option<String>,
}

/// Writes the activity of many sessions in one statement. Skips sessions that are not live, and activity older than the
/// stored one.
#[derive(Debug, Clone)]
pub struct Touches<'a> {
    account_ids: Vec<&'a str>,
    ids: Vec<&'a str>,
    at: Vec<Instant>,
    expires_at: Vec<Instant>,
    ips: Vec<Option<&'a str>>,
}

impl<'a> Touches<'a> {
    pub fn new(rows: &'a [TouchRow]) -> Self {
        Self {
            account_ids: rows.iter().map(|row| row.account_id.as_str()).collect(),
            ids: rows.iter().map(|row| row.id.as_str()).collect(),
            at: rows.iter().map(|row| row.at).collect(),
            expires_at: rows.iter().map(|row| row.expires_at).collect(),
            ips: rows.iter().map(|row| row.ip.as_deref()).collect(),
        }
    }
}

/// The same statement on [distributed](super::citus) tables. All accounts must be in the same part of the tables, so that
/// one worker runs the statement.
#[derive(Debug, Clone)]
struct TouchesOfPart<'a>(Touches<'a>);

const SET: &str =
    " UPDATE sessions SET last_activity = touched.at, expires_at = touched.expires_at, ip = touched.ip FROM ";
const LIVING: &str = "sessions.ended_at IS NULL AND sessions.last_activity < touched.at AND sessions.expires_at > ";
const AND: &str = " AND ";

impl Query for Touches<'_> {
    type SqlType = Bool;
}
impl QueryId for Touches<'_> {
    type QueryId = Touches<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}
impl<Connection> RunQueryDsl<Connection> for Touches<'_> {}

impl Touches<'_> {
    /// Writes the activity. Returns the number of sessions that were still live and changed. On
    /// [distributed](super::citus) tables, all sessions must be in the same part of them.
    pub async fn write(self, conn: &mut Conn<'_>) -> Result<usize> {
        if conn.is_distributed() {
            return run!(conn, execute(TouchesOfPart(self)));
        }
        run!(conn, execute(self))
    }

    /// `of_part` selects the part of distributed tables. It adds one parameter.
    fn on_postgres<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>, of_part: bool) -> QueryResult<()> {
        out.push_sql("WITH touched (account_id, id, at, expires_at, ip) AS (SELECT * FROM unnest(");
        out.push_bind_param::<Array<Text>, _>(&self.account_ids)?;
        out.push_sql("::text[], ");
        out.push_bind_param::<Array<Text>, _>(&self.ids)?;
        out.push_sql("::text[], ");
        out.push_bind_param::<Array<sql::Instant>, _>(&self.at)?;
        out.push_sql("::timestamptz[], ");
        out.push_bind_param::<Array<sql::Instant>, _>(&self.expires_at)?;
        out.push_sql("::timestamptz[], ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.ips)?;
        out.push_sql(
            "::text[])), held AS (SELECT sessions.account_id, sessions.id FROM sessions JOIN touched \
             ON touched.account_id = sessions.account_id AND touched.id = sessions.id \
             WHERE sessions.ended_at IS NULL",
        );
        self.select_part(&mut out, of_part)?;
        out.push_sql(" ORDER BY sessions.account_id, sessions.id FOR UPDATE OF sessions)");
        out.push_sql(SET);
        out.push_sql(
            "touched JOIN held ON held.account_id = touched.account_id AND held.id = touched.id \
             WHERE sessions.account_id = touched.account_id AND sessions.id = touched.id AND ",
        );
        out.push_sql(LIVING);
        out.push_sql(super::express::POSTGRES_NOW);
        out.push_sql(AND);
        QueryFragment::<Pg>::walk_ast(&IsOfCurrentGeneration, out.reborrow())?;
        self.select_part(&mut out, of_part)
    }

    fn select_part<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>, of_part: bool) -> QueryResult<()> {
        if of_part {
            out.push_sql(" AND sessions.account_id = ANY(");
            out.push_bind_param::<Array<Text>, _>(&self.account_ids)?;
            out.push_sql("::text[])");
        }
        Ok(())
    }
}

impl QueryFragment<Pg> for Touches<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.on_postgres(out, false)
    }
}

impl Query for TouchesOfPart<'_> {
    type SqlType = Bool;
}
impl QueryId for TouchesOfPart<'_> {
    type QueryId = TouchesOfPart<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}
impl<Connection> RunQueryDsl<Connection> for TouchesOfPart<'_> {}

impl QueryFragment<Pg> for TouchesOfPart<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.on_postgres(out, true)
    }
}
impl QueryFragment<Sqlite> for TouchesOfPart<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }
}

impl QueryFragment<Sqlite> for Touches<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(
            "WITH touched (account_id, id, at, expires_at, ip) AS (SELECT value ->> 0, value ->> 1, value ->> 2, \
             value ->> 3, value ->> 4 FROM json_each(",
        );
        out.push_bind_param::<Text, _>(self)?;
        out.push_sql("))");
        out.push_sql(SET);
        out.push_sql("touched WHERE sessions.account_id = touched.account_id AND sessions.id = touched.id AND ");
        out.push_sql(LIVING);
        out.push_sql(super::express::SQLITE_NOW);
        out.push_sql(AND);
        QueryFragment::<Sqlite>::walk_ast(&IsOfCurrentGeneration, out)
    }
}

/// SQLite has no arrays, so the rows are sent as JSON.
impl ToSql<Text, Sqlite> for Touches<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        let rows = self.account_ids.iter().zip(&self.ids).zip(&self.at).zip(&self.expires_at).zip(&self.ips);
        let rows: Vec<_> = rows
            .map(|((((account_id, id), at), expires_at), ip)| (account_id, id, at.micros(), expires_at.micros(), ip))
            .collect();
        out.set_value(serde_json::to_string(&rows)?);
        Ok(IsNull::No)
    }
}
