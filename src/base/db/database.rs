//! The handle of the database: opening it, and the kinds of units of work. Called by every module that stores something.

use std::sync::Arc;

use super::{
    conn::Conn,
    express::now,
    file,
    message::{Heard, Tell, UnsureOnDrop},
    pools,
    query::run,
    sqlite,
};
use crate::base::{
    clock::Clock,
    database_url::DatabaseUrl,
    error::{Away, Error, Result},
    instant::Instant,
    keys::AuditKeys,
    metrics::{Metrics, Pool},
    settings::Settings,
};

/// The database. Cheap to clone; all clones share the pools, and the counts of what is done.
#[derive(Clone)]
pub struct Db {
    engine: Arc<Engine>,
    metrics: Metrics,
}

enum Engine {
    Postgres(Box<pools::Pools>),
    Sqlite(Box<sqlite::Lanes>),
}

impl Db {
    /// Prepares the pools; connects to nothing yet. The folder of an SQLite file is made, for its owner only. Without keys no
    /// transaction can record an audit event.
    ///
    /// # Errors
    /// When the address of the database makes no sense or the folder cannot be made.
    pub fn open(settings: &Settings, keys: Option<&AuditKeys>) -> Result<Self> {
        if let DatabaseUrl::Sqlite(path) = &settings.database {
            file::make(path)?;
        }
        Self::open_existing(settings, keys)
    }

    /// The same, but a file that is missing is not made.
    ///
    /// # Errors
    /// When the address of the database makes no sense or there is no such file.
    pub fn open_existing(settings: &Settings, keys: Option<&AuditKeys>) -> Result<Self> {
        let metrics = Metrics::default();
        let engine = match &settings.database {
            DatabaseUrl::Postgres(url) => {
                Engine::Postgres(Box::new(pools::Pools::open(url, settings, metrics.clone(), keys.cloned())?))
            }
            DatabaseUrl::Sqlite(path) => {
                Engine::Sqlite(Box::new(sqlite::Lanes::open(path, settings, &metrics, keys.cloned())?))
            }
        };
        Ok(Self { engine: Arc::new(engine), metrics })
    }

    /// The counts of this node.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The connections as they are now.
    pub fn pool(&self) -> Pool {
        match &*self.engine {
            Engine::Postgres(pools) => pools.figures(),
            Engine::Sqlite(lanes) => lanes.figures(),
        }
    }

    /// Runs reads. Tried once more after a lost connection, never after a deadline.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database is away, or what `work` returned.
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

    /// Runs one statement that writes, without a transaction around it. Never tried twice.
    ///
    /// # Errors
    /// As [`write`](Self::write).
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

    /// Runs one transaction; an error from `work` rolls it back. Once this returns `Ok` it lasts.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database is away. If that was a deadline, or a connection lost in the middle,
    /// whether it was committed is unknown. Else what `work` returned.
    pub async fn write<T, Work>(&self, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T> + Send + 'static,
    {
        let writing = async {
            match &*self.engine {
                Engine::Postgres(pools) => pools.transaction(work).await,
                Engine::Sqlite(lanes) => lanes.transaction(work).await,
            }
        };
        self.metrics.database_work("transaction", writing).await
    }

    /// Tells of what is announced and mentioned by this process and all others on the database, until this is dropped.
    /// After each gap it says [`Heard::Sure`] again: then ask the database what was missed. One listener a process.
    pub async fn listen(&self, tell: impl Fn(Heard) + Send + Sync + 'static) {
        let tell: Tell = Arc::new(tell);
        let _when_dropped = UnsureOnDrop(Arc::clone(&tell));
        match &*self.engine {
            Engine::Postgres(pools) => pools.listen(&tell).await,
            Engine::Sqlite(lanes) => lanes.listen(tell).await,
        }
    }

    /// Empties the write-ahead log of an SQLite file, so that overwritten data cannot be read there. In PostgreSQL this is the
    /// task of its vacuum.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn truncate_wal(&self) -> Result<()> {
        match &*self.engine {
            Engine::Postgres(_) => Ok(()),
            Engine::Sqlite(lanes) => lanes.truncate_wal().await,
        }
    }

    /// Brings the schema up to date; see [`migrate`](super::migrate).
    ///
    /// # Errors
    /// When the database is away, or its schema is newer than this program.
    pub async fn migrate(&self) -> Result<()> {
        match &*self.engine {
            Engine::Postgres(pools) => pools.migrate().await,
            Engine::Sqlite(lanes) => lanes.migrate().await,
        }
    }

    /// Measures how far `clock` is from the database's time, and corrects it by as many microseconds as are returned.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn measure_clock(&self, clock: &Clock) -> Result<i64> {
        let before = clock.now();
        let database = self.read(async |conn: &mut Conn<'_>| run!(conn, get_result(diesel::select(now())))).await?;
        Ok(clock.correct(before, database, clock.now()))
    }
}

impl Conn<'_> {
    /// Whether the database answers on this connection at all.
    ///
    /// # Errors
    /// When it does not.
    pub async fn answers(&mut self) -> Result<()> {
        let _: Instant = run!(self, get_result(diesel::select(now())))?;
        Ok(())
    }
}
