//! Where the database is: what changes when it is restored from a backup, moved, or failed over. Used by the history of the
//! instance, which compares it with what it was.
//!
//! Invariant: what a role may not read counts as unknown, never as changed.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use diesel::{
    QueryResult, QueryableByName, RunQueryDsl,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{BigInt, Bool, Nullable, Text},
    sqlite::Sqlite,
};

use super::{
    Conn, EngineConn,
    express::{POSTGRES_NOW, SQLITE_NOW},
    instant::sql,
    run,
};
use crate::{
    error::{Away, Error, Result},
    settings::DatabaseUrl,
};

/// The timeline that PostgreSQL writes: the first part of the name of its current log file. It changes with each promotion
/// and each recovery to a point in time.
const TIMELINE: &str = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
/// The table's number changes when a dump is restored, the system's when the data goes to another server.
const TABLE: &str = "'instance'::regclass::oid::text";
const SYSTEM: &str = "SELECT system_identifier::text AS value FROM pg_control_system()";

/// Where a database is, as far as it can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// SQLite: the file's inode and time of birth. PostgreSQL: the server's system identifier and the table's number.
    pub identity: Option<String>,
    /// PostgreSQL's timeline.
    pub timeline: Option<String>,
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

impl Place {
    /// Looks, outside of a transaction.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn read(conn: &mut Conn<'_>, database: &DatabaseUrl) -> Result<Self> {
        if let DatabaseUrl::Sqlite(path) = database {
            return Ok(Self { identity: file_identity(path), timeline: None });
        }
        let table = text(conn, &format!("SELECT {TABLE} AS value")).await?;
        let system = text(conn, SYSTEM).await?;
        let identity = table.map(|table| format!("{}/{table}", system.unwrap_or_default()));
        Ok(Self { identity, timeline: text(conn, &format!("SELECT {TIMELINE} AS value")).await? })
    }

    /// This place as it is now, inside of a transaction: on another timeline, or with another table on the same server.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn again(self, conn: &mut Conn<'_>, timeline: Option<String>) -> Result<Self> {
        let EngineConn::Postgres(..) = conn.engine else { return Ok(Self { timeline, ..self }) };
        let row: Value = run!(conn, get_result(diesel::sql_query(format!("SELECT {TABLE} AS value"))))?;
        let system = self.identity.as_deref().and_then(|identity| identity.split_once('/')).map(|(system, _)| system);
        Ok(Self { identity: system.map(|system| format!("{system}/{}", row.value)), timeline })
    }

    /// Whether this is surely another place than `other`.
    pub fn differs_from(&self, other: &Self) -> bool {
        let differ = |one: &Option<String>, other: &Option<String>| one.is_some() && other.is_some() && one != other;
        differ(&self.identity, &other.identity) || differ(&self.timeline, &other.timeline)
    }
}

/// A copied file has another inode, or the same one given out again and another time of birth.
fn file_identity(path: &Path) -> Option<String> {
    let file = std::fs::metadata(path).ok()?;
    let born = file.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    Some(format!("{}/{}", file.ino(), born.map_or(0, |born| born.as_nanos())))
}

/// A value, or `None` if this role or this kind of PostgreSQL does not tell.
async fn text(conn: &mut Conn<'_>, query: &str) -> Result<Option<String>> {
    let row: Result<Value> = run!(conn, get_result(diesel::sql_query(query)));
    match row {
        Ok(row) => Ok(Some(row.value)),
        Err(Error::Unavailable(fault)) if matches!(fault.what, Away::Database | Away::Refused) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The instance's row as a transaction sees it, with the time: the history's id, its floor of versions, the timeline on which
/// it began, the timeline now, and whether the table is another one than at the start, as after a dump was restored. What
/// could not be read at the start is not asked for.
#[derive(Debug, Clone, Copy)]
pub struct Present;

impl Present {
    fn within<Engine: diesel::backend::Backend>(
        out: &mut AstPass<'_, '_, Engine>,
        now: &str,
        (timeline, is_moved): (&str, &str),
    ) {
        out.push_sql("SELECT ");
        out.push_sql(now);
        out.push_sql(", history, version_floor, timeline, ");
        out.push_sql(timeline);
        out.push_sql(", ");
        out.push_sql(is_moved);
        out.push_sql(" FROM instance WHERE id = 1");
    }
}

impl Query for Present {
    type SqlType = (sql::Instant, Nullable<Text>, BigInt, Nullable<Text>, Nullable<Text>, Bool);
}
impl QueryId for Present {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl<Conn> RunQueryDsl<Conn> for Present {}

impl QueryFragment<Pg> for Present {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let timeline = format!("CASE WHEN timeline IS NOT NULL THEN {TIMELINE} END");
        let is_moved = format!("coalesce(split_part(place, '/', 2) <> {TABLE}, false)");
        Self::within(&mut out, POSTGRES_NOW, (&timeline, &is_moved));
        Ok(())
    }
}
impl QueryFragment<Sqlite> for Present {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        Self::within(&mut out, SQLITE_NOW, ("NULL", "0"));
        Ok(())
    }
}
