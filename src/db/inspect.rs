//! A look at the database that changes nothing: no file is made, no schema brought up to date. Called by `doctor`.
//!
//! Invariant: an SQLite file is opened for reading only, and a PostgreSQL connection takes no writes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, connection::SimpleConnection as _};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};

use super::{Conn, ConnectPlan, EngineConn, migrate, notify::Outbox, within};
use crate::{
    error::{Away, Error, Result},
    settings::{DatabaseUrl, Settings},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a look may take: it may read a whole file.
const DEADLINE: Duration = Duration::from_secs(60);

/// A damaged file has more to tell than anybody reads.
const MOST_TOLD: usize = 3;

/// An open database that is only looked at.
pub struct Inspection(Opened, Outbox);

enum Opened {
    Postgres(Box<AsyncPgConnection>),
    Sqlite(SqliteConnection),
}

/// How the schema stands to this program.
#[derive(Debug, PartialEq, Eq)]
pub enum Schema {
    /// There is none yet.
    Missing,
    /// So many steps are to come.
    Behind(usize),
    /// As this program has it; its last step.
    Current(String),
    /// A later program has been here; its first step that this one does not know.
    Newer(String),
}

#[derive(QueryableByName)]
struct Text {
    #[diesel(sql_type = diesel::sql_types::Text)]
    value: String,
}

impl Inspection {
    /// Opens the database; `None` if it is a file that nobody has made yet.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(settings: &Settings) -> Result<Option<Self>> {
        match &settings.database {
            DatabaseUrl::Sqlite(path) if !path.exists() => Ok(None),
            DatabaseUrl::Sqlite(path) => Ok(Some(Self(Opened::Sqlite(read_only(path)?), Outbox::default()))),
            DatabaseUrl::Postgres(url) => {
                let plan = ConnectPlan::parse(url.expose(), DEADLINE, CONNECT_TIMEOUT).map_err(Error::Invalid)?;
                let away = |error| Error::unavailable(Away::Database, error);
                let mut conn = plan.connect().await.map_err(away)?;
                let read_only = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY";
                within(DEADLINE, conn.batch_execute(read_only)).await?;
                Ok(Some(Self(Opened::Postgres(Box::new(conn)), Outbox::default())))
            }
        }
    }

    /// The folder of the database's file, if anybody may write in it: they could take the file away, or put sockets beside it.
    pub fn open_folder(settings: &Settings) -> Option<PathBuf> {
        let DatabaseUrl::Sqlite(path) = &settings.database else {
            return None;
        };
        let folder = path.canonicalize().ok()?.parent()?.to_owned();
        let mode = std::fs::metadata(&folder).ok()?.permissions().mode();
        (mode & 0o002 != 0).then_some(folder)
    }

    /// Its connection, for reads.
    pub fn conn(&mut self) -> Conn<'_> {
        let engine = match &mut self.0 {
            Opened::Postgres(conn) => EngineConn::Postgres(conn, DEADLINE),
            Opened::Sqlite(conn) => EngineConn::Sqlite(conn),
        };
        Conn::new(engine, &mut self.1)
    }

    /// The engine and its version.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn engine(&mut self) -> Result<String> {
        let postgres = "SELECT 'PostgreSQL ' || current_setting('server_version') AS value";
        let found = self.texts(postgres, "SELECT 'SQLite ' || sqlite_version() AS value").await?;
        Ok(found.concat())
    }

    /// What keeps it from taking writes, or from keeping what it has; empty if nothing does.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn weaknesses(&mut self) -> Result<Vec<String>> {
        let postgres = "SELECT name || ' is off' AS value FROM pg_settings \
            WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' \
            UNION ALL SELECT 'the server is a standby' WHERE pg_is_in_recovery() \
            UNION ALL SELECT 'default_transaction_read_only is on for this role or database' FROM pg_settings \
            WHERE name = 'default_transaction_read_only' AND reset_val = 'on'";
        let mut found = self.texts(postgres, "SELECT quick_check AS value FROM pragma_quick_check()").await?;
        found.retain(|line| line != "ok");
        found.truncate(MOST_TOLD);
        Ok(found)
    }

    /// How the schema stands to this program.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn schema(&mut self) -> Result<Schema> {
        let postgres = "SELECT coalesce(to_regclass('__diesel_schema_migrations')::text, '') AS value";
        let sqlite = "SELECT name AS value FROM sqlite_master WHERE name = '__diesel_schema_migrations'";
        if self.texts(postgres, sqlite).await?.concat().is_empty() {
            return Ok(Schema::Missing);
        }
        let steps = "SELECT version AS value FROM __diesel_schema_migrations ORDER BY version";
        let applied = self.texts(steps, steps).await?;
        let known = migrate::versions()?;
        if let Some(newer) = applied.iter().find(|version| !known.contains(version)) {
            return Ok(Schema::Newer(newer.clone()));
        }
        let to_come = known.iter().filter(|version| !applied.contains(version)).count();
        Ok(match applied.last() {
            Some(last) if to_come == 0 => Schema::Current(last.clone()),
            _ => Schema::Behind(to_come),
        })
    }

    async fn texts(&mut self, postgres: &str, sqlite: &str) -> Result<Vec<String>> {
        let rows: Vec<Text> = match &mut self.0 {
            Opened::Postgres(conn) => {
                let query = diesel::sql_query(postgres);
                within(DEADLINE, diesel_async::RunQueryDsl::load(query, &mut **conn)).await?
            }
            Opened::Sqlite(conn) => diesel::sql_query(sqlite).load(conn)?,
        };
        Ok(rows.into_iter().map(|row| row.value).collect())
    }
}

/// Opens a file for reading. Without a log beside it nobody else has it open, and SQLite is told so: else it would make
/// the files that those who share it need.
fn read_only(path: &Path) -> Result<SqliteConnection> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let shared = std::fs::metadata(log).is_ok_and(|log| log.len() > 0);
    let name = path.to_string_lossy().replace('%', "%25");
    let url = format!("file:{name}?mode=ro{}", if shared { "" } else { "&immutable=1" });
    let away = |error: &dyn std::fmt::Display| Error::unavailable(Away::Database, error);
    let mut conn = SqliteConnection::establish(&url).map_err(|error| away(&error))?;
    conn.batch_execute("PRAGMA busy_timeout = 3000; PRAGMA query_only = ON").map_err(|error| away(&error))?;
    Ok(conn)
}
