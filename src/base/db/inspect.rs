//! Read-only inspection of the database: creates no file and migrates nothing. Called by `doctor`, by the start of a
//! server, and by commands before they open the database.
//!
//! Invariant: an SQLite file is opened read-only, and a PostgreSQL session is set to read-only.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, connection::SimpleConnection as _};
use diesel_async::SimpleAsyncConnection as _;

use super::{
    citus::{self, Placements},
    conn::{Conn, EngineConn, within},
    file::{self, FileId},
    foreign,
    message::Outbox,
    migrate,
    postgres::{ConnectError, ConnectPlan, Connection, preflight},
    sqlite_sockets::{Server, SqliteSockets},
};
use crate::base::{
    coherence::Coherence,
    database_url::DatabaseUrl,
    error::{Away, Error, Result},
    metrics::Metrics,
    settings::Settings,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Statement deadline. An integrity check may read a whole file.
const DEADLINE: Duration = Duration::from_secs(60);

/// How many problems are reported. A damaged file can have thousands.
const MOST_TOLD: usize = 3;

/// The queries of [`preflight`], for SQLite.
const PRESENT: &str = "SELECT name AS value FROM sqlite_master WHERE type IN ('table', 'view', 'index')";
const IS_RECORDED: &str = "SELECT name AS value FROM sqlite_master WHERE name = '__diesel_schema_migrations'";

/// A database opened for inspection.
pub struct Inspection {
    opened: Opened,
    outbox: Outbox,
}

enum Opened {
    Postgres(Box<Connection>),
    Sqlite(SqliteConnection, PathBuf),
}

/// The state of the schema, compared with this program.
#[derive(Debug, PartialEq, Eq)]
pub enum Schema {
    /// The database has no schema yet.
    Missing,
    /// Older than this program; the number of pending migrations.
    Behind(usize),
    /// Up to date; the version of the last migration.
    Current(String),
    /// Another program's table has a name that this program needs; the name.
    Foreign(String),
    /// Newer than this program; the first version that this program does not have.
    Newer(String),
}

#[derive(QueryableByName)]
struct Text {
    #[diesel(sql_type = diesel::sql_types::Text)]
    value: String,
}

impl Inspection {
    /// Opens the database. `None` if it is a file that does not exist.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a server has another file open than the path names.
    pub async fn open(settings: &Settings) -> Result<Option<Self>> {
        match &settings.database {
            DatabaseUrl::Sqlite(path) => {
                // Check before opening the file: the log next to it may belong to the server's file.
                Self::check_servers(settings).await?;
                if !path.exists() {
                    return Ok(None);
                }
                let conn = read_only(path).map_err(|error| file::explained(path, error))?;
                Ok(Some(Self { opened: Opened::Sqlite(conn, path.clone()), outbox: Outbox::default() }))
            }
            DatabaseUrl::Postgres(url) => {
                let plan = ConnectPlan::parse(url.expose(), DEADLINE, CONNECT_TIMEOUT).map_err(Error::Invalid)?;
                let mut conn = plan.connect().await.map_err(ConnectError::for_start)?;
                let read_only = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY";
                within(DEADLINE, conn.batch_execute(read_only)).await?;
                Ok(Some(Self { opened: Opened::Postgres(Box::new(conn)), outbox: Outbox::default() }))
            }
        }
    }

    /// The folder of the database's file, if everybody may write to it: they could remove the file, or add sockets.
    pub fn open_folder(settings: &Settings) -> Option<PathBuf> {
        let DatabaseUrl::Sqlite(path) = &settings.database else {
            return None;
        };
        let folder = path.canonicalize().ok()?.parent()?.to_owned();
        let mode = std::fs::metadata(&folder).ok()?.permissions().mode();
        (mode & 0o002 != 0).then_some(folder)
    }

    /// The path of an SQLite database.
    pub fn file(settings: &Settings) -> Option<&Path> {
        match &settings.database {
            DatabaseUrl::Sqlite(path) => Some(path),
            DatabaseUrl::Postgres(_) => None,
        }
    }

    /// The database's files that others than their owner and group can read or write, with their modes.
    pub fn open_files(settings: &Settings) -> Vec<(PathBuf, u32)> {
        let DatabaseUrl::Sqlite(path) = &settings.database else {
            return Vec::new();
        };
        let beside = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let mode = |path: &PathBuf| Some(std::fs::metadata(path).ok()?.permissions().mode() & 0o777);
        ["", "-wal", "-shm", "-journal"]
            .map(beside)
            .into_iter()
            .filter_map(|path| mode(&path).map(|mode| (path, mode)))
            .filter(|(_, mode)| mode & 0o007 != 0)
            .collect()
    }

    /// Reasons why a PostgreSQL server may lose or refuse writes. Empty for SQLite.
    pub async fn weaknesses_of_server(settings: &Settings) -> Result<Vec<String>> {
        match (&settings.database, Self::open(settings).await?) {
            (DatabaseUrl::Postgres(_), Some(mut open)) => open.weaknesses().await,
            _ => Ok(Vec::new()),
        }
    }

    pub fn conn(&mut self) -> Conn<'_> {
        let engine = match &mut self.opened {
            Opened::Postgres(conn) => EngineConn::Postgres(conn, DEADLINE),
            Opened::Sqlite(conn, _) => EngineConn::Sqlite(conn),
        };
        Conn::new(engine, &mut self.outbox)
    }

    /// The engine's name and version.
    pub async fn engine(&mut self) -> Result<String> {
        let postgres = "SELECT 'PostgreSQL ' || current_setting('server_version') AS value";
        let found = self.texts(postgres, "SELECT 'SQLite ' || sqlite_version() AS value").await?;
        Ok(found.concat())
    }

    /// Reasons why the database may lose or refuse writes. Empty if there are none.
    pub async fn weaknesses(&mut self) -> Result<Vec<String>> {
        let postgres = "SELECT name || ' is off' AS value FROM pg_settings \
            WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND reset_val = 'off' \
            UNION ALL SELECT 'the server is a standby' WHERE pg_is_in_recovery() \
            UNION ALL SELECT 'default_transaction_read_only is on for this role or database' FROM pg_settings \
            WHERE name = 'default_transaction_read_only' AND reset_val = 'on'";
        let mut found = self.texts(postgres, "SELECT quick_check AS value FROM pragma_quick_check()").await?;
        found.retain(|line| line != "ok");
        found.truncate(MOST_TOLD);
        Ok(found)
    }

    /// Where the tables are. Asks each worker too.
    pub async fn placements(&mut self) -> Result<Placements> {
        match &mut self.opened {
            Opened::Postgres(conn) => citus::placements(conn).await,
            Opened::Sqlite(..) => Ok(Placements::OneServer),
        }
    }

    /// Compares the schema with the migrations of this program.
    pub async fn schema(&mut self) -> Result<Schema> {
        let recorded = !self.texts(preflight::IS_RECORDED, IS_RECORDED).await?.concat().is_empty();
        if let (true, Opened::Postgres(conn)) = (recorded, &mut self.opened) {
            preflight::check_rights(conn).await?;
        }
        let applied = if recorded { self.texts(preflight::APPLIED, preflight::APPLIED).await? } else { Vec::new() };
        if let Some(table) = foreign::foreign(&self.texts(preflight::PRESENT, PRESENT).await?, &applied)? {
            return Ok(Schema::Foreign(table));
        }
        if applied.is_empty() {
            return Ok(Schema::Missing);
        }
        let known = migrate::versions()?;
        if let Some(newer) = applied.iter().find(|version| !known.contains(version)) {
            return Ok(Schema::Newer(newer.clone()));
        }
        let pending = known.iter().filter(|version| !applied.contains(version)).count();
        Ok(match applied.last() {
            Some(last) if pending == 0 => Schema::Current(last.clone()),
            _ => Schema::Behind(pending),
        })
    }

    /// Fails if `found`, the result of [`schema`](Self::schema), names another program's table.
    ///
    /// # Errors
    /// [`Error::Conflict`] in that case.
    pub async fn refuse_foreign(&mut self, found: &Schema, settings: &Settings) -> Result<()> {
        let Schema::Foreign(table) = found else { return Ok(()) };
        match &self.opened {
            Opened::Sqlite(..) => {
                Err(foreign::refusal(table, &format!("the database file {}", settings.database), "name another file"))
            }
            Opened::Postgres(_) => {
                let schema = self.texts(preflight::SCHEMA, "").await?.concat();
                Err(preflight::is_foreign(table, &schema))
            }
        }
    }

    /// Checks that the PostgreSQL role has the rights it needs.
    ///
    /// # Errors
    /// [`Error::Unavailable`] naming the missing right.
    pub async fn check_rights(&mut self) -> Result<()> {
        match &mut self.opened {
            Opened::Sqlite(..) => Ok(()),
            Opened::Postgres(conn) => preflight::check(conn, None).await.map(drop),
        }
    }

    /// Checks that the listener can connect, if it has its own URL.
    pub async fn check_listener(settings: &Settings) -> Result<()> {
        let Some(url) = &settings.listen_database else { return Ok(()) };
        let plan = ConnectPlan::parse(url.expose(), DEADLINE, CONNECT_TIMEOUT).map_err(Error::Invalid)?;
        plan.connect().await.map(drop).map_err(ConnectError::for_start)
    }

    /// Checks that no server has a file open that the path no longer names. Such a server would not see the changes
    /// made here.
    ///
    /// # Errors
    /// [`Error::Conflict`] when there is such a server.
    pub async fn check_servers(settings: &Settings) -> Result<()> {
        let DatabaseUrl::Sqlite(path) = &settings.database else { return Ok(()) };
        let id = FileId::of(path).ok();
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        let logs = ["-wal", "-shm"].map(|suffix| FileId::of(&file::sibling(&real, suffix)).ok());
        for server in servers(path).await {
            if Some(server.file) != id {
                return Err(Error::Conflict(format!(
                    "a server is running on another file than {} (DATABASE_URL), which was replaced or removed: stop the server \
                     first, then start it on the new file, or put the old file back",
                    settings.database
                )));
            }
            if server.log.is_some_and(|log| log.map(Some) != logs) {
                return Err(Error::Conflict(format!(
                    "the log of {} (DATABASE_URL), {real}-wal or {real}-shm, was removed or replaced while a server has it \
                     open: stop the server and start it again",
                    settings.database,
                    real = real.display()
                )));
            }
        }
        Ok(())
    }

    /// The ids of the keys that each server on the database's file uses.
    pub async fn keys_of_servers(settings: &Settings) -> Vec<String> {
        let DatabaseUrl::Sqlite(path) = &settings.database else { return Vec::new() };
        servers(path).await.into_iter().filter_map(|server| server.keys).collect()
    }

    async fn texts(&mut self, postgres: &str, sqlite: &str) -> Result<Vec<String>> {
        let rows: Vec<Text> = match &mut self.opened {
            Opened::Postgres(conn) => {
                let query = diesel::sql_query(postgres);
                within(DEADLINE, diesel_async::RunQueryDsl::load(query, &mut **conn)).await?
            }
            Opened::Sqlite(conn, path) => {
                let rows = diesel::sql_query(sqlite).load(conn).map_err(Error::from);
                rows.map_err(|error| file::explained(path, error))?
            }
        };
        Ok(rows.into_iter().map(|row| row.value).collect())
    }
}

async fn servers(path: &Path) -> Vec<Server> {
    let Ok(coherence) = Coherence::new(false, Metrics::default()) else { return Vec::new() };
    SqliteSockets::new(path, None, None, coherence).servers().await
}

/// The first table of another program in an SQLite file whose name collides with one of ours.
pub(super) fn foreign_table(path: &Path) -> Result<Option<String>> {
    let mut conn = read_only(path)?;
    let mut texts = |query: &str| -> Result<Vec<String>> {
        let rows: Vec<Text> = diesel::sql_query(query).load(&mut conn)?;
        Ok(rows.into_iter().map(|row| row.value).collect())
    };
    let recorded = !texts(IS_RECORDED)?.is_empty();
    let applied = if recorded { texts(preflight::APPLIED)? } else { Vec::new() };
    foreign::foreign(&texts(PRESENT)?, &applied)
}

/// Opens a file read-only. If its log is empty or missing, no other process has the file open. SQLite is then told that
/// the file is immutable; otherwise it would create the `-wal` and `-shm` files.
fn read_only(path: &Path) -> Result<SqliteConnection> {
    let shared = std::fs::metadata(file::sibling(path, "-wal")).is_ok_and(|log| log.len() > 0);
    let url = format!("{}{}", file::url(path, "ro"), if shared { "" } else { "&immutable=1" });
    let away = |error: &dyn std::fmt::Display| Error::unavailable(Away::Database, error);
    let mut conn = SqliteConnection::establish(&url).map_err(|error| away(&error))?;
    conn.batch_execute("PRAGMA busy_timeout = 3000; PRAGMA query_only = ON").map_err(|error| away(&error))?;
    Ok(conn)
}
