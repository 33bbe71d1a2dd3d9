//! PostgreSQL: one pool, on a runtime of its own, so that a connection never depends on the worker that opened it.
//!
//! Invariant: a connection on which anything went wrong is dropped, not handed back. Changes never take the last places,
//! so that reads go on when commits hang.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::managed::{Pool, PoolError, TimeoutType};
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, SimpleAsyncConnection as _, TransactionManager,
    async_connection_wrapper::AsyncConnectionWrapper,
};
use tokio::{
    runtime::{Handle, Runtime},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};

use super::{
    conn::{Conn, EngineConn, within},
    email_keys,
    lease::Lease,
    message::{Outbox, Tell},
    migrate,
    postgres::{self, ConnectError, ConnectPlan, Connection, Opener, listen::Mentions, preflight},
};
use crate::base::{
    database_url::PostgresUrl,
    error::{Away, Error, Result},
    keys::AuditKeys,
    metrics::{self, Metrics},
    settings::Settings,
};

/// All nodes that bring a schema up to date take this advisory lock: the letters of the product's name.
const MIGRATION_LOCK: i64 = 0x0073_6573_7369_6c65;
/// A migration may take this long; a request may not.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(600);
/// How often, and how far apart, a connection that failed is asked whether it has closed.
const CLOSING_CHECKS: u32 = 100;
const CLOSING_CHECK: Duration = Duration::from_millis(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The pool and the runtime that drives its connections.
pub(super) struct Pools {
    pool: Pool<Opener>,
    writers: Arc<Semaphore>,
    for_migrations: ConnectPlan,
    replaced: watch::Receiver<Option<Instant>>,
    handle: Handle,
    for_listening: ConnectPlan,
    mentions: Mentions,
    wait: Duration,
    deadline: Duration,
    audit_keys: Option<AuditKeys>,
    runtime: Option<Runtime>,
    metrics: Metrics,
}

impl Pools {
    pub(super) fn open(
        url: &PostgresUrl,
        settings: &Settings,
        metrics: Metrics,
        audit_keys: Option<AuditKeys>,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("database")
            .enable_all()
            .build()
            .map_err(|error| Error::Internal(error.into()))?;
        let plan = |url: &PostgresUrl, deadline| {
            ConnectPlan::parse(url.expose(), deadline, CONNECT_TIMEOUT).map_err(Error::Invalid)
        };
        let for_requests = plan(url, settings.statement_timeout)?;
        let listen_url = settings.listen_database.as_ref().unwrap_or(url);
        let handle = runtime.handle().clone();
        let replaced = for_requests.replaced();
        let pool = postgres::pool(for_requests, settings.pool_max, settings.pool_timeout, handle.clone())
            .map_err(Error::bug)?;
        Ok(Self {
            pool,
            writers: Arc::new(Semaphore::new(most_writers(settings.pool_max))),
            for_migrations: plan(url, MIGRATION_DEADLINE)?,
            replaced,
            handle,
            for_listening: plan(listen_url, settings.statement_timeout)?,
            mentions: Mentions::default(),
            wait: settings.pool_timeout,
            deadline: settings.statement_timeout,
            audit_keys,
            runtime: Some(runtime),
            metrics,
        })
    }

    pub(super) fn figures(&self) -> metrics::Pool {
        let now = self.pool.status();
        metrics::Pool { max: now.max_size, open: now.size, in_use: now.size.saturating_sub(now.available) }
    }

    /// Lends a connection to `work`, which only reads.
    pub(super) async fn read<T, Work>(&self, work: Work) -> Result<T>
    where
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T>,
    {
        let lent = self.connection(None).await?;
        self.lend(lent, work).await
    }

    /// Lends a connection to `work`, whose statements last one by one.
    pub(super) async fn statement<T, Work>(&self, work: Work) -> Result<T>
    where
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T>,
    {
        let mut lent = self.connection(Some(&self.writers)).await?;
        lent.note_commit();
        self.lend(lent, work).await
    }

    async fn lend<T, Work>(&self, mut lent: Lease, work: Work) -> Result<T>
    where
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T>,
    {
        let mut outbox = Outbox::default();
        let warnings = lent.warnings();
        let result = work(&mut Conn::new(EngineConn::Postgres(&mut lent, self.deadline), &mut outbox)).await;
        let result = as_lost_connection(&mut lent, result)
            .await
            .and_then(|value| check_replication(&lent, warnings).map(|()| value));
        if result.is_ok() {
            self.mentions.add(outbox.mentioned);
        }
        if !matches!(result, Err(Error::Unavailable(_))) {
            lent.return_to_pool();
        }
        result
    }

    /// Runs `work` in a transaction. A connection that proves dead at BEGIN, before anything happened, is replaced once.
    pub(super) async fn transaction<T, Work>(&self, work: Work) -> Result<T>
    where
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T>,
    {
        let mut lent = match self.begin().await {
            Err(Error::Unavailable(fault)) if fault.what == Away::Connection => {
                self.forget_idle();
                self.begin().await?
            }
            begun => begun?,
        };
        let mut outbox = Outbox::default();
        let done = async {
            let engine = EngineConn::Postgres(&mut lent, self.deadline);
            let mut conn = Conn::in_transaction(engine, &mut outbox, self.audit_keys.as_ref());
            let value = work(&mut conn).await?;
            conn.finish().await.map(|()| value)
        };
        match done.await {
            Ok(value) => {
                lent.note_commit();
                let warnings = lent.warnings();
                within(self.deadline, AnsiTransactionManager::commit_transaction(&mut **lent)).await?;
                check_replication(&lent, warnings)?;
                self.mentions.add(outbox.mentioned);
                lent.return_to_pool();
                Ok(value)
            }
            // The end of its connection rolls it back, at once; a ROLLBACK would wait behind what hangs.
            Err(error @ Error::Unavailable(_)) => Err(error),
            Err(error) => {
                if within(self.deadline, AnsiTransactionManager::rollback_transaction(&mut **lent)).await.is_ok() {
                    lent.return_to_pool();
                }
                Err(error)
            }
        }
    }

    /// Closes the connections that wait in the pool: where one was lost the others may be, and what is tried again gets
    /// a new one.
    pub(super) fn forget_idle(&self) {
        self.pool.retain(|_, _| false);
    }

    /// Listens on a connection of its own; see [`postgres::listen`].
    pub(super) async fn listen(&self, tell: &Tell) {
        postgres::listen::listen(&self.for_listening, self.deadline, &self.mentions, tell).await;
    }

    /// Migrates on a connection of its own, under an advisory lock that ends with it.
    pub(super) async fn migrate(&self) -> Result<()> {
        let Some(runtime) = &self.runtime else {
            return Err(Error::bug("the database's runtime is gone"));
        };
        let plan = self.for_migrations.clone();
        let prepared = runtime.spawn(async move {
            let mut conn = plan.connect().await.map_err(ConnectError::for_start)?;
            conn.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})")).await?;
            let to_do = preflight::check(&mut conn, plan.search_path()).await?;
            Ok::<_, Error>((conn, to_do))
        });
        let (conn, to_do) = prepared.await.map_err(Error::bug)??;
        if !to_do {
            return Ok(());
        }
        runtime
            .spawn_blocking(move || {
                let (conn, _driver) = conn.into_parts();
                let mut conn = AsyncConnectionWrapper::<AsyncPgConnection>::from(conn);
                migrate::bring_up_to_date(&mut conn, migrate::POSTGRES, |conn| email_keys::bring_up_to_date!(conn))
            })
            .await
            .map_err(Error::bug)?
    }

    /// A connection, waited for no longer than the pool's time, whether for a free one, for a new one, or for a place
    /// among those that write.
    async fn connection(&self, places: Option<&Arc<Semaphore>>) -> Result<Lease> {
        let _wait = self.metrics.database_wait();
        let busy = || Error::unavailable(Away::Busy, "no database connection became free in time");
        let getting = async {
            let place: Option<OwnedSemaphorePermit> = match places {
                Some(places) => Some(Arc::clone(places).acquire_owned().await.map_err(Error::bug)?),
                None => None,
            };
            let connection = self.pool.get().await.map_err(|error| match error {
                PoolError::Timeout(TimeoutType::Wait) => busy(),
                PoolError::Backend(error) => error.for_request(),
                other => Error::unavailable(Away::Database, other),
            })?;
            Ok(Lease::new(connection, place, self.replaced.clone(), self.handle.clone()))
        };
        tokio::time::timeout(self.wait, getting).await.map_err(|_| busy())?
    }

    async fn begin(&self) -> Result<Lease> {
        let mut lent = self.connection(Some(&self.writers)).await?;
        let begun = within(self.deadline, AnsiTransactionManager::begin_transaction(&mut **lent)).await;
        as_lost_connection(&mut lent, begun).await?;
        Ok(lent)
    }
}

/// How many of so many connections may be used to change something: all but a quarter, and all but one.
fn most_writers(size: usize) -> usize {
    size.saturating_sub((size / 4).max(1)).max(1)
}

/// A server that ends a connection says so in words that depend on its language, and closes it a moment later: whether
/// an error was that is asked of the connection.
async fn as_lost_connection<T>(lent: &mut Connection, result: Result<T>) -> Result<T> {
    let Err(Error::Unavailable(fault)) = result else { return result };
    if fault.what == Away::Database {
        for _ in 0..CLOSING_CHECKS {
            if lent.is_broken() {
                return Err(Error::unavailable(Away::Connection, fault.cause));
            }
            tokio::time::sleep(CLOSING_CHECK).await;
        }
    }
    Err(Error::Unavailable(fault))
}

/// Whether all that was committed since the server's count of warnings stood at `warnings` has reached the standby that
/// it must reach.
fn check_replication(conn: &Connection, warnings: u64) -> Result<()> {
    if conn.warnings() == warnings {
        return Ok(());
    }
    Err(Error::unavailable(
        Away::Deadline,
        "the wait for the synchronous standby was cancelled: whether the change lasts is unknown",
    ))
}

impl Drop for Pools {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
