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
    sql_types::{BigInt, Nullable, Text},
    sqlite::Sqlite,
};

use super::{
    conn::Conn,
    express::{POSTGRES_NOW, SQLITE_NOW},
    marks::Marks,
    query::run,
};
use crate::base::{
    database_url::DatabaseUrl,
    error::{Away, Error, Result},
    instant::sql,
};

/// The timeline that PostgreSQL writes: the first part of the name of its current log file. It changes with each promotion
/// and each recovery to a point in time.
const TIMELINE: &str = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
/// The table's number changes when a dump is restored, the system's when the data goes to another server.
const TABLE: &str = "SELECT 'instance'::regclass::oid::text AS value";
const SYSTEM: &str = "SELECT system_identifier::text AS value FROM pg_control_system()";

/// Where a database is, as far as it can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// SQLite: the file's inode and time of birth. PostgreSQL: the server's system identifier and the table's number.
    pub identity: Option<String>,
    /// PostgreSQL: the timeline. SQLite, as the database has it: the last of its marks.
    pub timeline: Option<String>,
    /// SQLite: the marks that the file beside the database has. That of the database is one of them, or the database is older.
    pub marks: Vec<String>,
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
            let marks = Marks::of(database).map(|marks| marks.read()).unwrap_or_default();
            return Ok(Self { identity: file_identity(path), timeline: None, marks });
        }
        let table = text(conn, TABLE).await?;
        let system = text(conn, SYSTEM).await?;
        let identity = table.map(|table| format!("{}/{table}", system.unwrap_or_default()));
        let timeline = text(conn, &format!("SELECT {TIMELINE} AS value")).await?;
        Ok(Self { identity, timeline, marks: Vec::new() })
    }

    /// Whether this, as the database has it, is surely another place than `other`, as it was found.
    pub fn differs_from(&self, other: &Self) -> bool {
        let is_older = self.timeline.as_ref().is_some_and(|mark| !other.marks.contains(mark));
        if is_older && !other.marks.is_empty() {
            return true;
        }
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
/// it began, and the timeline now. The timeline is not asked for where it could not be read at the start.
#[derive(Debug, Clone, Copy)]
pub struct Present;

impl Present {
    fn within<Engine: diesel::backend::Backend>(out: &mut AstPass<'_, '_, Engine>, now: &str, timeline: &str) {
        out.push_sql("SELECT ");
        out.push_sql(now);
        out.push_sql(", history, version_floor, timeline, ");
        out.push_sql(timeline);
        out.push_sql(" FROM instance WHERE id = 1");
    }
}

impl Query for Present {
    type SqlType = (sql::Instant, Nullable<Text>, BigInt, Nullable<Text>, Nullable<Text>);
}
impl QueryId for Present {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl<Conn> RunQueryDsl<Conn> for Present {}

impl QueryFragment<Pg> for Present {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let timeline = format!("CASE WHEN timeline IS NOT NULL THEN {TIMELINE} END");
        Self::within(&mut out, POSTGRES_NOW, &timeline);
        Ok(())
    }
}
impl QueryFragment<Sqlite> for Present {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        Self::within(&mut out, SQLITE_NOW, "NULL");
        Ok(())
    }
}
