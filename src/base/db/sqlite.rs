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
use tokio::{runtime::Handle, sync::Semaphore, task::JoinHandle};

use super::{
    conn::{Conn, EngineConn},
    email_keys,
    file::{self, OpenFile},
    foreign, inspect,
    message::{FENCE, Outbox, Tell},
    migrate,
    nodes::{self, Beaten, Others, Unconfirmed},
    sqlite_sockets::SqliteSockets,
};
use crate::base::{
    coherence::{Coherence, Moment},
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
    coherence: Coherence,
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
        coherence: &Coherence,
        audit_keys: Option<AuditKeys>,
    ) -> Result<Self> {
        let file = Arc::new(OpenFile::new(path)?);
        let lane = |size: usize| Lane::open(path, &file, size, settings, metrics.clone());
        let (readers, writer) = (lane(settings.pool_max)?, lane(1)?);
        let watched = Arc::clone(&file);
        coherence.require(move |now| watched.is_in_place(now));
        let sockets = SqliteSockets::new(path, Some(Arc::clone(&file)), audit_keys.clone(), coherence.clone());
        Ok(Self { readers, writer, audit_keys, coherence: coherence.clone(), sockets: Arc::new(sockets), file })
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
        let (coherence, sockets, file) = (self.coherence.clone(), Arc::clone(&self.sockets), Arc::clone(&self.file));
        let unit = move |conn: &mut SqliteConnection| {
            let mut outbox = Outbox::new(&coherence);
            let value = finish(work(&mut Conn::new(EngineConn::Sqlite(conn), &mut outbox)))?;
            file.check()?;
            if outbox.wait.is_some() {
                return Err(Error::bug("an announcement outside of a transaction"));
            }
            Ok((value, tell(&sockets, &coherence, conn, outbox)))
        };
        let (value, telling) = self.writer.hop(unit).await?;
        Box::pin(self.wait_for(telling)).await;
        Ok(value)
    }

    pub(super) async fn transaction<T, Work>(&self, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T> + Send + 'static,
    {
        let (coherence, sockets, file) = (self.coherence.clone(), Arc::clone(&self.sockets), Arc::clone(&self.file));
        let keys = self.audit_keys.clone();
        let unit = move |conn: &mut SqliteConnection| {
            let mut outbox = Outbox::new(&coherence);
            let whole = async |conn: &mut SqliteConnection| {
                let mut conn = Conn::in_transaction(EngineConn::Sqlite(conn), &mut outbox, keys.as_ref());
                let value = work(&mut conn).await?;
                conn.finish().await.map(|()| value)
            };
            let done = conn.immediate_transaction(|conn| finish(whole(conn)));
            // A commit that failed may have taken effect.
            outbox.announced.iter().for_each(|announced| coherence.change(&announced.text));
            let value = done?;
            note_own_number(&coherence, &outbox);
            // Report a failure if the file was replaced meanwhile: no other process can see this commit.
            file.check()?;
            Ok((value, tell(&sockets, &coherence, conn, outbox)))
        };
        let (value, telling) = self.writer.hop(unit).await?;
        Box::pin(self.wait_for(telling)).await;
        Ok(value)
    }

    /// Waits until the other processes have heard of a commit. Then doubts or removes the rows of those that did not.
    async fn wait_for(&self, telling: Option<JoinHandle<(Others, Unconfirmed)>>) {
        let Some(telling) = telling else { return };
        let Ok((others, unconfirmed)) = telling.await else { return };
        if !others.have(&unconfirmed) {
            return;
        }
        let node = self.coherence.name().to_owned();
        let removing = move |conn: &mut SqliteConnection| {
            let mut outbox = Outbox::default();
            let mut conn = Conn::new(EngineConn::Sqlite(conn), &mut outbox);
            finish(nodes::remove_silent(&mut conn, &node, &others, &unconfirmed))
        };
        if let Err(error) = self.writer.hop(removing).await {
            tracing::debug!(%error, "removing the rows of silent processes failed");
        }
    }

    /// Sends this process a beat, if it has a row.
    pub(super) async fn beat(&self, node: String, number: u64) -> Result<Option<Beaten>> {
        let reading = move |conn: &mut SqliteConnection| {
            let mut outbox = Outbox::default();
            finish(nodes::beat_on_file(&mut Conn::new(EngineConn::Sqlite(conn), &mut outbox), &node))
        };
        let beaten = self.readers.hop(reading).await?;
        if let Some(announced) = beaten.as_ref().and_then(|beaten| beaten.number) {
            self.coherence.read_number(announced);
            self.sockets.beat(number).await?;
        }
        Ok(beaten)
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

/// Notes that this process has applied its own announcements. Not after a commit that failed: another transaction may
/// get the same number.
fn note_own_number(coherence: &Coherence, outbox: &Outbox) {
    match outbox.number {
        Some(number) if outbox.has_announced(FENCE) => coherence.hear_fence(number),
        Some(number) => coherence.hear_number(number),
        None => {}
    }
}

/// Tells the other processes on the file about a commit, in a task of its own, so that they hear of it even if nobody
/// waits for this unit of work any more. The task yields the processes with rows, and those that did not confirm.
fn tell(
    sockets: &Arc<SqliteSockets>,
    coherence: &Coherence,
    conn: &mut SqliteConnection,
    mut outbox: Outbox,
) -> Option<JoinHandle<(Others, Unconfirmed)>> {
    if outbox.is_empty() {
        return None;
    }
    let (committed, wait) = (Moment::now(), outbox.wait.take());
    let others = match &wait {
        Some(_) => {
            let mut outbox = Outbox::default();
            let mut conn = Conn::new(EngineConn::Sqlite(conn), &mut outbox);
            finish(async { Ok(Others::after_commit(&mut conn, coherence.name()).await) })
                .unwrap_or_else(|_| Others::unknown(coherence.name()))
        }
        None => Others::default(),
    };
    let lines = sockets.tell_own(&outbox);
    let sockets = Arc::clone(sockets);
    Some(Handle::current().spawn(async move {
        let unconfirmed = sockets.tell_others(lines, committed, wait, others.names()).await;
        (others, unconfirmed)
    }))
}

/// Polls `work` once. Queries on SQLite are synchronous, so the work is complete then.
fn finish<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    work.now_or_never().unwrap_or_else(|| Err(Error::bug("a unit of work awaited something other than the database")))
}
