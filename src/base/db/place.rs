//! Identifies where a database lives, to detect that it was restored from a backup, moved or failed over. The history
//! of the instance compares the current place with the stored one.
//!
//! Invariant: a value that the role may not read counts as unknown, never as changed.

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

/// PostgreSQL's timeline: the first part of the name of the current WAL file. It changes with each promotion and each
/// point-in-time recovery.
const TIMELINE: &str = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
/// The table's OID changes when a dump is restored. The system identifier changes when the data moves to another
/// server.
const TABLE: &str = "SELECT 'instance'::regclass::oid::text AS value";
const SYSTEM: &str = "SELECT system_identifier::text AS value FROM pg_control_system()";

/// Where a database lives, as far as this can be determined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// SQLite: the file's inode and creation time. PostgreSQL: the server's system identifier and the table's OID.
    pub identity: Option<String>,
    /// PostgreSQL: the timeline. SQLite: the last mark of the database. Only the stored place has this mark;
    /// [`read`](Self::read) leaves it out.
    pub timeline: Option<String>,
    /// SQLite: the marks in the file beside the database. If the database's own mark is not among them, the database is
    /// an older copy.
    pub marks: Vec<String>,
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

impl Place {
    /// Determines the current place. Call this outside a transaction, because a refused query would abort the
    /// transaction.
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

    /// Whether this place, as stored in the database, certainly differs from `other`, the current place.
    pub fn differs_from(&self, other: &Self) -> bool {
        let is_older = self.timeline.as_ref().is_some_and(|mark| !other.marks.contains(mark));
        if is_older && !other.marks.is_empty() {
            return true;
        }
        let differ = |one: &Option<String>, other: &Option<String>| one.is_some() && other.is_some() && one != other;
        differ(&self.identity, &other.identity) || differ(&self.timeline, &other.timeline)
    }
}

/// A copied file has another inode, or a reused inode and another creation time.
fn file_identity(path: &Path) -> Option<String> {
    let file = std::fs::metadata(path).ok()?;
    let born = file.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    Some(format!("{}/{}", file.ino(), born.map_or(0, |born| born.as_nanos())))
}

/// The value, or `None` if the role or this variant of PostgreSQL may not read it.
async fn text(conn: &mut Conn<'_>, query: &str) -> Result<Option<String>> {
    let row: Result<Value> = run!(conn, get_result(diesel::sql_query(query)));
    match row {
        Ok(row) => Ok(Some(row.value)),
        Err(Error::Unavailable(fault)) if matches!(fault.what, Away::Database | Away::Refused) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the database's time and the instance's row within a transaction: the history's id, the version floor, the
/// timeline on which the history began, and the current timeline. Leaves out the current timeline if the role could not
/// read it when the history began.
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
