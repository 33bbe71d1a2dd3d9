//! PostgreSQL: one pool on its own runtime, so that a connection never depends on the worker thread that opened it.
//! Called by [`Db`](super::Db).
//!
//! Invariant: a connection on which anything failed is closed, not returned to the pool. Writers never use all
//! connections of a pool that has several, so reads continue while commits hang.

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
    citus,
    conn::{Conn, EngineConn, within},
    email_keys,
    lease::Lease,
    message::{Outbox, Tell},
    migrate,
    nodes::{self, Others, Unconfirmed},
    notify::send_announced,
    postgres::{self, ConnectError, ConnectPlan, Connection, LatestTimeline, Opener, listen::Mentions, preflight},
};
use crate::base::{
    coherence::{Coherence, Moment, Wait},
    database_url::PostgresUrl,
    error::{Away, Error, Result, Unavailable},
    keys::AuditKeys,
    metrics::{self, Metrics},
    settings::Settings,
};

/// The advisory lock that every node takes before it migrates the schema: the letters of the product's name.
const MIGRATION_LOCK: i64 = 0x0073_6573_7369_6c65;
/// How often, and at what interval, a failed connection is checked for having closed.
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
    coherence: Coherence,
    distribution: citus::Distribution,
    runtime: Option<Runtime>,
    metrics: Metrics,
}

impl Pools {
    pub(super) fn open(
        url: &PostgresUrl,
        settings: &Settings,
        metrics: Metrics,
        coherence: Coherence,
        audit_keys: Option<AuditKeys>,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("database")
            .enable_all()
            .build()
            .map_err(|error| Error::Internal(error.into()))?;
        let latest = LatestTimeline::default();
        let plan = |url: &PostgresUrl, deadline| match ConnectPlan::parse(url.expose(), deadline, CONNECT_TIMEOUT) {
            Ok(plan) => Ok(plan.comparing(&latest)),
            Err(cause) => Err(Error::Invalid(cause)),
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
            for_migrations: plan(url, migrate::DEADLINE)?,
            replaced,
            handle,
            for_listening: plan(listen_url, settings.statement_timeout)?,
            mentions: Mentions::default(),
            wait: settings.pool_timeout,
            deadline: settings.statement_timeout,
            audit_keys,
            coherence,
            distribution: citus::Distribution::default(),
            runtime: Some(runtime),
            metrics,
        })
    }

    pub(super) fn figures(&self) -> metrics::Pool {
        let now = self.pool.status();
        metrics::Pool { max: now.max_size, open: now.size, in_use: now.size.saturating_sub(now.available) }
    }

    /// Runs `work`, which only reads, on a connection.
    pub(super) async fn read<T, Work>(&self, work: Work) -> Result<T>
    where
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T>,
    {
        let lease = self.connection(None).await?;
        self.lend(lease, work).await
    }

    /// Runs `work` on a connection. Each of its statements commits on its own.
    pub(super) async fn statement<T, Work>(&self, work: Work) -> Result<T>
    where
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T>,
    {
        let mut lease = self.connection(Some(&self.writers)).await?;
        lease.note_commit();
        self.lend(lease, work).await
    }

    async fn lend<T, Work>(&self, mut lease: Lease, work: Work) -> Result<T>
    where
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T>,
    {
        let mut outbox = Outbox::new(&self.coherence);
        let warnings = lease.warnings();
        let engine = EngineConn::Postgres(&mut lease, self.deadline);
        let result = work(&mut Conn::new(engine, &mut outbox).distributed(self.is_distributed())).await;
        let result = as_lost_connection(&mut lease, result)
            .await
            .and_then(|value| self.check_commit(&lease, warnings).map(|()| value));
        if result.is_ok() {
            self.mentions.add(outbox.mentioned);
        }
        if outbox.wait.is_some() {
            return Err(Error::bug("an announcement outside of a transaction"));
        }
        match &result {
            Err(Error::Unavailable(fault)) => {
                self.look_after(fault);
                if citus::is_about_worker(&fault.cause) {
                    lease.return_to_pool();
                }
            }
            _ => lease.return_to_pool(),
        }
        result
    }

    /// Whether the tables were distributed when this was last looked at.
    pub(super) fn is_distributed(&self) -> bool {
        self.distribution.is_distributed()
    }

    /// Looks whether the tables are distributed now, because `sessile distribute` may have run since. Returns at once.
    pub(super) fn look_at_distribution(&self) {
        self.distribution.look_again(self.pool.clone(), &self.handle);
    }

    /// Looks again after a statement that the server refused. Citus refuses some statements on distributed tables.
    fn look_after(&self, fault: &Unavailable) {
        if fault.what == Away::Database {
            self.look_at_distribution();
        }
    }

    /// Runs `work` in a transaction. If BEGIN shows that the connection is dead, retries once on a new connection;
    /// nothing has happened before that.
    pub(super) async fn transaction<T, Work>(&self, work: Work) -> Result<T>
    where
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T>,
    {
        let mut lease = match self.begin().await {
            Err(Error::Unavailable(fault)) if fault.what == Away::Connection => {
                self.forget_idle();
                self.begin().await?
            }
            started => started?,
        };
        let mut outbox = Outbox::new(&self.coherence);
        let done = async {
            let engine = EngineConn::Postgres(&mut lease, self.deadline);
            let conn = Conn::in_transaction(engine, &mut outbox, self.audit_keys.as_ref());
            let mut conn = conn.distributed(self.is_distributed());
            let value = work(&mut conn).await?;
            conn.finish().await?;
            send_announced(&mut conn).await.map(|()| value)
        };
        match done.await {
            Ok(value) => {
                lease.note_commit();
                let warnings = lease.warnings();
                let committed = within(self.deadline, AnsiTransactionManager::commit_transaction(&mut **lease)).await;
                // It is unknown whether a commit that failed took effect.
                outbox.announced.iter().for_each(|announced| self.coherence.change(&announced.text));
                committed?;
                self.check_commit(&lease, warnings)?;
                self.mentions.add(outbox.mentioned);
                let Some(wait) = outbox.wait else {
                    lease.return_to_pool();
                    return Ok(value);
                };
                let (committed, others) = (Moment::now(), Box::pin(self.other_nodes(&mut lease)).await);
                lease.return_to_pool();
                // On the heap, because few transactions wait, and the futures of all would grow by it.
                Box::pin(self.wait_for(wait, committed, others)).await;
                Ok(value)
            }
            // Closing the connection rolls back at once. A ROLLBACK would wait behind the statement that hangs.
            Err(Error::Unavailable(fault)) => {
                self.look_after(&fault);
                Err(Error::Unavailable(fault))
            }
            Err(error) => {
                if within(self.deadline, AnsiTransactionManager::rollback_transaction(&mut **lease)).await.is_ok() {
                    lease.return_to_pool();
                }
                Err(error)
            }
        }
    }

    /// The other nodes that may answer from memory, read after a commit.
    async fn other_nodes(&self, lease: &mut Lease) -> Others {
        let mut outbox = Outbox::default();
        let mut conn = Conn::new(EngineConn::Postgres(lease, self.deadline), &mut outbox);
        Others::after_commit(&mut conn, self.coherence.name()).await
    }

    /// Waits until the other nodes have confirmed a change, or can no longer answer from memory with what was there
    /// before it. Then doubts or removes the rows of nodes that did not confirm.
    async fn wait_for(&self, wait: Wait, committed: Moment, others: Others) {
        let silent = wait.finish(committed, others.names()).await;
        let unconfirmed = Unconfirmed { silent, ..Unconfirmed::default() };
        if !others.have(&unconfirmed) {
            return;
        }
        let node = self.coherence.name();
        let removing = async |conn: &mut Conn<'_>| nodes::remove_silent(conn, node, &others, &unconfirmed).await;
        if let Err(error) = self.statement(removing).await {
            tracing::debug!(%error, "removing the rows of silent nodes failed");
        }
    }

    /// Closes the idle connections. When one connection was lost, the others may be lost too, and a retry has to get a
    /// new one.
    pub(super) fn forget_idle(&self) {
        self.pool.retain(|_, _| false);
    }

    /// Listens on its own connection; see [`postgres::listen`].
    pub(super) async fn listen(&self, tell: &Tell) {
        postgres::listen::listen(&self.for_listening, self.deadline, &self.coherence, &self.mentions, tell).await;
    }

    /// Migrates on its own connection, under an advisory lock that the server releases when that connection closes.
    pub(super) async fn migrate(&self) -> Result<()> {
        let Some(runtime) = &self.runtime else {
            return Err(Error::bug("the database runtime has shut down"));
        };
        let plan = self.for_migrations.clone();
        let prepared = runtime.spawn(async move {
            let mut conn = plan.connect().await.map_err(ConnectError::for_start)?;
            conn.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})")).await?;
            let has_work = preflight::check(&mut conn, plan.search_path()).await?;
            let is_distributed = citus::look(&mut conn).await?;
            Ok::<_, Error>((conn, has_work, is_distributed))
        });
        let (conn, has_work, is_distributed) = prepared.await.map_err(Error::bug)??;
        self.distribution.set(is_distributed);
        if !has_work {
            return Ok(());
        }
        runtime
            .spawn_blocking(move || {
                let (conn, _driver) = conn.into_parts();
                let mut conn = AsyncConnectionWrapper::<AsyncPgConnection>::from(conn);
                if is_distributed {
                    let embedded = citus::OnCitus(migrate::POSTGRES);
                    return migrate::bring_up_to_date(&mut conn, embedded, |_| Ok(()));
                }
                migrate::bring_up_to_date(&mut conn, migrate::POSTGRES, |conn| email_keys::bring_up_to_date!(conn))
            })
            .await
            .map_err(Error::bug)?
    }

    /// Distributes the tables on its own connection, under the same lock as [`migrate`](Self::migrate).
    pub(super) async fn distribute(&self, dry_run: bool, tell: citus::Told) -> Result<citus::Outcome> {
        let Some(runtime) = &self.runtime else {
            return Err(Error::bug("the database runtime has shut down"));
        };
        let plan = self.for_migrations.clone();
        let distributing = runtime.spawn(async move {
            let mut conn = plan.connect().await.map_err(ConnectError::for_start)?;
            conn.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})")).await?;
            citus::distribute(&mut conn, dry_run, &*tell).await
        });
        distributing.await.map_err(Error::bug)?
    }

    /// Fails if a commit since `warnings` was read may not have reached the synchronous standby, or a worker.
    fn check_commit(&self, conn: &Connection, warnings: u64) -> Result<()> {
        if conn.warnings() == warnings {
            return Ok(());
        }
        Err(Error::unavailable(
            Away::Deadline,
            if self.is_distributed() {
                "the server warned at the commit: a worker or the synchronous standby may not have the change"
            } else {
                "the wait for the synchronous standby was cancelled: the change may be lost in a failover"
            },
        ))
    }

    /// Takes a connection from the pool. The pool's timeout covers the waits for a writer's place, for a free
    /// connection, for a new connection, and for the first look at the distribution.
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
            let mut lease = Lease::new(connection, place, self.replaced.clone(), self.handle.clone());
            let looked = self.distribution.look_once(&mut lease).await;
            as_lost_connection(&mut lease, looked).await?;
            Ok(lease)
        };
        tokio::time::timeout(self.wait, getting).await.map_err(|_| busy())?
    }

    async fn begin(&self) -> Result<Lease> {
        let mut lease = self.connection(Some(&self.writers)).await?;
        let started = within(self.deadline, AnsiTransactionManager::begin_transaction(&mut **lease)).await;
        as_lost_connection(&mut lease, started).await?;
        Ok(lease)
    }
}

/// How many of `size` connections may write at the same time. A quarter of the pool, but at least one connection, is
/// reserved for reads. If the pool has only one connection, it serves reads and writes.
fn most_writers(size: usize) -> usize {
    size.saturating_sub((size / 4).max(1)).max(1)
}

/// Turns an error into [`Away::Connection`] if the server closed the connection. The server's message depends on its
/// language, and the connection closes a moment later, so this polls the connection.
async fn as_lost_connection<T>(lease: &mut Connection, result: Result<T>) -> Result<T> {
    let Err(Error::Unavailable(fault)) = result else { return result };
    if fault.what == Away::Database && !citus::is_about_worker(&fault.cause) {
        for _ in 0..CLOSING_CHECKS {
            if lease.is_broken() {
                return Err(Error::unavailable(Away::Connection, fault.cause));
            }
            tokio::time::sleep(CLOSING_CHECK).await;
        }
    }
    Err(Error::Unavailable(fault))
}

impl Drop for Pools {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
