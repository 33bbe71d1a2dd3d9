//! SQLite: several readers and one writer. Each unit of work runs as a whole on a blocking thread. Called by
//! [`Db`](super::Db).
//!
//! Invariant: waiting for a connection is asynchronous and bounded, so a locked file never exhausts the blocking
//! threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use diesel::{
    SqliteConnection,
    connection::SimpleConnection as _,
    r2d2::{ConnectionManager, CustomizeConnection, Pool},
};
use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use super::{
    conn::{Conn, EngineConn},
    email_keys,
    file::{self, OpenFile},
    foreign, inspect,
    message::{Outbox, Tell},
    migrate,
    sqlite_sockets::SqliteSockets,
};
use crate::base::{
    error::{Away, Error, Result},
    keys::AuditKeys,
    metrics::{Metrics, Pool as Figures},
    settings::Settings,
};

/// How long truncating the write-ahead log waits for readers. Writers wait meanwhile.
const LOG_PATIENCE: Duration = Duration::from_millis(100);

/// The reading and the writing lane of a file.
pub(super) struct Lanes {
    readers: Lane,
    writer: Lane,
    audit_keys: Option<AuditKeys>,
    sockets: Arc<SqliteSockets>,
    file: Arc<OpenFile>,
}

struct Lane {
    file: Arc<OpenFile>,
    path: PathBuf,
    pool: Pool<ConnectionManager<SqliteConnection>>,
    places: Arc<Semaphore>,
    wait: Duration,
    deadline: Duration,
    busy_timeout: Duration,
    size: usize,
    metrics: Metrics,
}

/// Settings that every new connection starts with.
#[derive(Debug)]
struct Pragmas {
    busy_timeout: Duration,
}

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Pragmas {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
        conn.batch_execute(&format!(
            "PRAGMA busy_timeout = {}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
             PRAGMA secure_delete = ON;",
            self.busy_timeout.as_millis()
        ))
        .map_err(diesel::r2d2::Error::QueryError)
    }
}

impl Lanes {
    pub(super) fn open(
        path: &Path,
        settings: &Settings,
        metrics: &Metrics,
        audit_keys: Option<AuditKeys>,
    ) -> Result<Self> {
        let file = Arc::new(OpenFile::new(path)?);
        let lane = |size: usize| Lane::open(path, &file, size, settings, metrics.clone());
        let (readers, writer) = (lane(settings.pool_max)?, lane(1)?);
        let sockets = Arc::new(SqliteSockets::new(path, Some(Arc::clone(&file)), audit_keys.clone()));
        Ok(Self { readers, writer, audit_keys, sockets, file })
    }

    pub(super) async fn read<T, Work>(&self, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: AsyncFn(&mut Conn<'_>) -> Result<T> + Send + 'static,
    {
        self.readers
            .hop(move |conn| finish(work(&mut Conn::new(EngineConn::Sqlite(conn), &mut Outbox::default()))))
            .await
    }

    pub(super) async fn statement<T, Work>(&self, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T> + Send + 'static,
    {
        let (sockets, file) = (Arc::clone(&self.sockets), Arc::clone(&self.file));
        let unit = move |conn: &mut SqliteConnection| {
            let mut outbox = Outbox::default();
            let value = finish(work(&mut Conn::new(EngineConn::Sqlite(conn), &mut outbox)))?;
            file.check()?;
            sockets.tell(outbox);
            Ok(value)
        };
        self.writer.hop(unit).await
    }

    pub(super) async fn transaction<T, Work>(&self, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T> + Send + 'static,
    {
        let (keys, sockets, file) = (self.audit_keys.clone(), Arc::clone(&self.sockets), Arc::clone(&self.file));
        let unit = move |conn: &mut SqliteConnection| {
            let mut outbox = Outbox::default();
            let whole = async |conn: &mut SqliteConnection| {
                let mut conn = Conn::in_transaction(EngineConn::Sqlite(conn), &mut outbox, keys.as_ref());
                let value = work(&mut conn).await?;
                conn.finish().await.map(|()| value)
            };
            let value = conn.immediate_transaction(|conn| finish(whole(conn)))?;
            // Report a failure if the file was replaced meanwhile: no other process can see this commit.
            file.check()?;
            sockets.tell(outbox);
            Ok(value)
        };
        self.writer.hop(unit).await
    }

    /// Receives the messages of this process and of the other processes on the file.
    pub(super) async fn listen(&self, tell: Tell) {
        self.sockets.listen(tell).await;
    }

    pub(super) fn figures(&self) -> Figures {
        let lanes = [&self.readers, &self.writer];
        Figures {
            max: lanes.iter().map(|lane| lane.size).sum(),
            open: lanes.iter().map(|lane| lane.pool.state().connections as usize).sum(),
            in_use: lanes.iter().map(|lane| lane.size - lane.places.available_permits().min(lane.size)).sum(),
        }
    }

    /// Truncates the write-ahead log, so that it holds no overwritten data. Fails soon if a reader is active; the next
    /// call tries again.
    pub(super) async fn truncate_wal(&self) -> Result<()> {
        let usual = self.writer.busy_timeout.as_millis();
        self.writer
            .hop(move |conn| {
                let short = LOG_PATIENCE.as_millis();
                let truncated =
                    conn.batch_execute(&format!("PRAGMA busy_timeout = {short}; PRAGMA wal_checkpoint(TRUNCATE);"));
                conn.batch_execute(&format!("PRAGMA busy_timeout = {usual};"))?;
                Ok(truncated?)
            })
            .await
    }

    pub(super) async fn migrate(&self) -> Result<()> {
        let path = self.writer.path.clone();
        // Check the file before opening it for writing, which would switch another program's file to WAL mode. The
        // check may fail while another process creates the file. Such a failure is ignored, because the writer reports
        // a lasting problem.
        let check = move || match inspect::foreign_table(&path) {
            Ok(Some(table)) => {
                let place = format!("the database file {}", path.display());
                Err(foreign::refusal(&table, &place, "name another file"))
            }
            Ok(None) | Err(_) => Ok(()),
        };
        tokio::task::spawn_blocking(check).await.map_err(Error::bug)??;
        let file = Arc::clone(&self.file);
        self.writer
            .hop_within(migrate::DEADLINE, move |conn| {
                conn.immediate_transaction(|conn| {
                    migrate::bring_up_to_date(conn, migrate::SQLITE, |conn| email_keys::bring_up_to_date!(conn))
                })?;
                file.keep_log()
            })
            .await
    }
}

impl Lane {
    fn open(path: &Path, file: &Arc<OpenFile>, size: usize, settings: &Settings, metrics: Metrics) -> Result<Self> {
        let pool = Pool::builder()
            .max_size(u32::try_from(size).unwrap_or(u32::MAX))
            .min_idle(Some(0))
            .test_on_check_out(false)
            // Keep connections open: SQLite removes the log when the last one closes.
            .idle_timeout(None)
            .max_lifetime(None)
            .connection_timeout(settings.pool_timeout.max(Duration::from_millis(1)))
            .connection_customizer(Box::new(Pragmas { busy_timeout: settings.statement_timeout }))
            .build_unchecked(ConnectionManager::new(file::url(path, "rw")));
        Ok(Self {
            file: Arc::clone(file),
            path: path.to_owned(),
            pool,
            places: Arc::new(Semaphore::new(size)),
            wait: settings.pool_timeout,
            // The work may first wait up to `busy_timeout` for another process's lock.
            deadline: settings.statement_timeout * 2,
            busy_timeout: settings.statement_timeout,
            size,
            metrics,
        })
    }

    /// Runs one unit of work on a blocking thread. The place is released when the work has finished, even if the caller
    /// no longer waits for it.
    async fn hop<T, Work>(&self, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: FnOnce(&mut SqliteConnection) -> Result<T> + Send + 'static,
    {
        self.hop_within(self.deadline, work).await
    }

    /// As [`hop`](Self::hop), with a deadline of its own.
    async fn hop_within<T, Work>(&self, deadline: Duration, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: FnOnce(&mut SqliteConnection) -> Result<T> + Send + 'static,
    {
        let wait = self.metrics.database_wait();
        let place = tokio::time::timeout(self.wait, Arc::clone(&self.places).acquire_owned())
            .await
            .map_err(|_| Error::unavailable(Away::Busy, "no database connection became free in time"))?
            .map_err(Error::bug)?;
        drop(wait);
        let (pool, file) = (self.pool.clone(), Arc::clone(&self.file));
        let hop = tokio::task::spawn_blocking(move || {
            let _place = place;
            file.check()?;
            let mut conn = pool.get().map_err(|error| Error::unavailable(Away::Database, error))?;
            work(&mut conn)
        });
        match tokio::time::timeout(deadline, hop).await {
            Ok(Ok(result)) => result.map_err(|error| file::explained(&self.path, error)),
            Ok(Err(panic)) => Err(Error::bug(panic)),
            Err(_) => Err(Error::unavailable(Away::Deadline, "a unit of work exceeded its deadline")),
        }
    }
}

/// Polls `work` once. Queries on SQLite are synchronous, so the work is complete then.
fn finish<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    work.now_or_never().unwrap_or_else(|| Err(Error::bug("a unit of work awaited something other than the database")))
}
