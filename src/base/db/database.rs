//! The database handle: opening it, and running units of work. Called by every module that stores data.
//!
//! Invariant: only reads are retried. The work of a statement or a transaction runs at most once.

use std::sync::Arc;

use super::{
    citus,
    conn::Conn,
    express::now,
    file,
    message::{Heard, Tell, UnsureOnDrop},
    nodes::Beaten,
    pools, postgres,
    query::run,
    sqlite,
};
use crate::base::{
    clock::Clock,
    coherence::Coherence,
    database_url::DatabaseUrl,
    error::{Away, Error, Result},
    instant::Instant,
    keys::AuditKeys,
    metrics::{Metrics, Pool},
    settings::Settings,
};

/// The database. Clones are cheap and share the pools and the metrics.
#[derive(Clone)]
pub struct Db {
    engine: Arc<Engine>,
    metrics: Metrics,
    coherence: Coherence,
}

enum Engine {
    Postgres(Box<pools::Pools>),
    Sqlite(Box<sqlite::Lanes>),
}

impl Db {
    /// Creates the pools without connecting. Creates an SQLite file and its folder if they are missing, accessible only
    /// to their owner. Without keys, no transaction can record an audit event.
    ///
    /// # Errors
    /// When the database URL is invalid or the file cannot be created.
    pub fn open(settings: &Settings, keys: Option<&AuditKeys>) -> Result<Self> {
        if let DatabaseUrl::Sqlite(path) = &settings.database {
            file::make(path)?;
        }
        Self::open_existing(settings, keys)
    }

    /// Like [`open`](Self::open), but fails if the SQLite file does not exist.
    ///
    /// # Errors
    /// When the database URL is invalid or the file does not exist.
    pub fn open_existing(settings: &Settings, keys: Option<&AuditKeys>) -> Result<Self> {
        let metrics = Metrics::default();
        let coherence = Coherence::new(settings.session_cache, metrics.clone())?;
        let engine = match &settings.database {
            DatabaseUrl::Postgres(url) => {
                let pools = pools::Pools::open(url, settings, metrics.clone(), coherence.clone(), keys.cloned())?;
                Engine::Postgres(Box::new(pools))
            }
            DatabaseUrl::Sqlite(path) => {
                let lanes = sqlite::Lanes::open(path, settings, &metrics, &coherence, keys.cloned())?;
                Engine::Sqlite(Box::new(lanes))
            }
        };
        Ok(Self { engine: Arc::new(engine), metrics, coherence })
    }

    /// Whether this node may answer from memory, and what empties its memory.
    pub fn coherence(&self) -> &Coherence {
        &self.coherence
    }

    /// Sends one beat of this node, and returns what it learned. `None` if the node has no row.
    pub(super) async fn send_beat(&self) -> Result<Option<Beaten>> {
        let (node, number) = (self.coherence.name().to_owned(), self.coherence.send_beat());
        let beating = async {
            match &*self.engine {
                Engine::Postgres(pools) => {
                    pools.statement(async |conn: &mut Conn<'_>| postgres::beat::beat(conn, &node, number).await).await
                }
                Engine::Sqlite(lanes) => lanes.beat(node, number).await,
            }
        };
        self.metrics.database_work("beat", beating).await
    }

    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How many connections are allowed, open and in use.
    pub fn pool(&self) -> Pool {
        match &*self.engine {
            Engine::Postgres(pools) => pools.figures(),
            Engine::Sqlite(lanes) => lanes.figures(),
        }
    }

    /// Runs reads. On PostgreSQL, retries once after a lost connection, never after a deadline.
    pub async fn read<T, Work>(&self, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: AsyncFn(&mut Conn<'_>) -> Result<T> + Send + 'static,
    {
        let reading = async {
            match &*self.engine {
                Engine::Postgres(pools) => match pools.read(&work).await {
                    Err(Error::Unavailable(fault)) if fault.what == Away::Connection => {
                        pools.forget_idle();
                        pools.read(&work).await
                    }
                    result => result,
                },
                Engine::Sqlite(lanes) => lanes.read(work).await,
            }
        };
        self.metrics.database_work("read", reading).await
    }

    /// Runs a single writing statement without a transaction. Never retried.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub async fn statement<T, Work>(&self, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T> + Send + 'static,
    {
        let writing = async {
            match &*self.engine {
                Engine::Postgres(pools) => pools.statement(work).await,
                Engine::Sqlite(lanes) => lanes.statement(work).await,
            }
        };
        self.metrics.database_work("statement", writing).await
    }

    /// Runs one transaction. An error from `work` rolls it back. The transaction is durable once this returns `Ok`.
    ///
    /// # Errors
    /// After an [`Error::Unavailable`] for a deadline or a lost connection, it is unknown whether the transaction
    /// committed.
    pub async fn write<T, Work>(&self, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T> + Send + 'static,
    {
        let writing = async {
            match &*self.engine {
                // On the heap: the futures of the callers would grow by it.
                Engine::Postgres(pools) => Box::pin(pools.transaction(work)).await,
                Engine::Sqlite(lanes) => lanes.transaction(work).await,
            }
        };
        self.metrics.database_work("transaction", writing).await
    }

    /// Passes the announcements and mentions of all processes on this database, including this one, to `tell` until the
    /// future is dropped. Sends [`Heard::Sure`] when listening starts and again after each gap; the caller then has to
    /// query for missed changes. At most one listener per process.
    pub async fn listen(&self, tell: impl Fn(Heard) + Send + Sync + 'static) {
        let tell: Tell = Arc::new(tell);
        let _when_dropped = UnsureOnDrop(Arc::clone(&tell));
        let _lose_lease = self.coherence.lose_on_drop();
        match &*self.engine {
            Engine::Postgres(pools) => pools.listen(&tell).await,
            Engine::Sqlite(lanes) => lanes.listen(tell).await,
        }
    }

    /// Truncates the write-ahead log of an SQLite file, so that overwritten data cannot be read there. Does nothing on
    /// PostgreSQL, where VACUUM removes old data.
    pub async fn truncate_wal(&self) -> Result<()> {
        match &*self.engine {
            Engine::Postgres(_) => Ok(()),
            Engine::Sqlite(lanes) => lanes.truncate_wal().await,
        }
    }

    /// Brings the schema up to date; see [`migrate`](super::migrate).
    ///
    /// # Errors
    /// [`Error::Conflict`] when the schema is newer than this program or belongs to another program.
    pub async fn migrate(&self) -> Result<()> {
        match &*self.engine {
            Engine::Postgres(pools) => pools.migrate().await,
            Engine::Sqlite(lanes) => lanes.migrate().await,
        }
    }

    /// Whether the tables are [distributed](citus) over several servers.
    pub fn is_distributed(&self) -> bool {
        match &*self.engine {
            Engine::Postgres(pools) => pools.is_distributed(),
            Engine::Sqlite(_) => false,
        }
    }

    /// Looks in the background whether the tables are distributed now, because `sessile distribute` may have run in
    /// another process. Returns at once.
    pub fn look_at_distribution(&self) {
        if let Engine::Postgres(pools) = &*self.engine {
            pools.look_at_distribution();
        }
    }

    /// Distributes the tables over the workers of a Citus cluster; with `dry_run`, only tells what it would do.
    ///
    /// # Errors
    /// [`Error::Conflict`] on SQLite, and without Citus or a worker: the text says what is missing.
    pub async fn distribute(&self, dry_run: bool, tell: citus::Told) -> Result<citus::Outcome> {
        match &*self.engine {
            Engine::Postgres(pools) => pools.distribute(dry_run, tell).await,
            Engine::Sqlite(_) => Err(Error::Conflict(
                "the database is an SQLite file, which cannot be distributed: tables are distributed on PostgreSQL with the \
                 extension Citus (docs/scaling.md)"
                    .into(),
            )),
        }
    }

    /// Measures how far `clock` differs from the database's time, corrects it, and returns the correction in
    /// microseconds.
    pub async fn measure_clock(&self, clock: &Clock) -> Result<i64> {
        let before = clock.now();
        let database = self.read(async |conn: &mut Conn<'_>| run!(conn, get_result(diesel::select(now())))).await?;
        Ok(clock.correct(before, database, clock.now()))
    }
}

impl Conn<'_> {
    /// Checks that the database answers on this connection.
    pub async fn answers(&mut self) -> Result<()> {
        let _: Instant = run!(self, get_result(diesel::select(now())))?;
        Ok(())
    }
}
