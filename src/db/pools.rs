//! PostgreSQL: one pool, on a runtime of its own, so that a connection never depends on the worker that opened it.
//!
//! Invariant: a connection on which anything went wrong is dropped, not handed back.

use std::time::Duration;

use deadpool::managed::TimeoutType;
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, TransactionManager,
    async_connection_wrapper::AsyncConnectionWrapper,
    pooled_connection::{
        PoolableConnection,
        deadpool::{Object, Pool, PoolError},
    },
};
use tokio::runtime::Runtime;

use super::{
    Conn, migrate,
    notify::{Outbox, Tell},
    postgres,
    postgres::{ConnectPlan, listen::Mentions},
    within,
};
use crate::{
    error::{Away, Error, Result},
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
    pool: Pool<AsyncPgConnection>,
    for_migrations: ConnectPlan,
    for_listening: ConnectPlan,
    mentions: Mentions,
    wait: Duration,
    deadline: Duration,
    runtime: Option<Runtime>,
}

impl Pools {
    pub(super) fn open(url: &str, settings: &Settings) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("database")
            .enable_all()
            .build()
            .map_err(|error| Error::Internal(error.into()))?;
        let plan = |deadline| ConnectPlan::parse(url, deadline, CONNECT_TIMEOUT).map_err(Error::Invalid);
        let pool = postgres::pool(
            plan(settings.statement_timeout)?,
            settings.pool_max,
            settings.pool_timeout,
            runtime.handle().clone(),
        )
        .map_err(Error::bug)?;
        Ok(Self {
            pool,
            for_migrations: plan(MIGRATION_DEADLINE)?,
            for_listening: plan(settings.statement_timeout)?,
            mentions: Mentions::default(),
            wait: settings.pool_timeout,
            deadline: settings.statement_timeout,
            runtime: Some(runtime),
        })
    }

    /// Lends a connection to `work`.
    pub(super) async fn lend<T, Work>(&self, work: Work) -> Result<T>
    where
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T>,
    {
        let mut lent = self.connection().await?;
        let mut outbox = Outbox::default();
        let result = work(&mut Conn::Postgres(&mut lent, self.deadline, &mut outbox)).await;
        let result = tell_lost(&mut lent, result).await;
        if result.is_ok() {
            self.mentions.add(outbox.mentioned);
        }
        if !matches!(result, Err(Error::Unavailable(_))) {
            lent.give_back();
        }
        result
    }

    /// Runs `work` in a transaction. A connection that proves dead at BEGIN, before anything happened, is replaced once.
    pub(super) async fn transaction<T, Work>(&self, work: Work) -> Result<T>
    where
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T>,
    {
        let mut lent = match self.begun().await {
            Err(Error::Unavailable(fault)) if fault.what == Away::Connection => {
                self.forget_idle();
                self.begun().await?
            }
            begun => begun?,
        };
        let mut outbox = Outbox::default();
        match work(&mut Conn::Postgres(&mut lent, self.deadline, &mut outbox)).await {
            Ok(value) => {
                within(self.deadline, AnsiTransactionManager::commit_transaction(&mut *lent)).await?;
                self.mentions.add(outbox.mentioned);
                lent.give_back();
                Ok(value)
            }
            // The end of its connection rolls it back, at once; a ROLLBACK would wait behind what hangs.
            Err(error @ Error::Unavailable(_)) => Err(error),
            Err(error) => {
                if within(self.deadline, AnsiTransactionManager::rollback_transaction(&mut *lent)).await.is_ok() {
                    lent.give_back();
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
        let conn = runtime
            .spawn(async move { plan.connect().await })
            .await
            .map_err(Error::bug)?
            .map_err(|error| Error::unavailable(Away::Database, error))?;
        runtime
            .spawn_blocking(move || {
                let mut conn = AsyncConnectionWrapper::<AsyncPgConnection>::from(conn);
                diesel::RunQueryDsl::execute(
                    diesel::sql_query(format!("SELECT pg_advisory_lock({MIGRATION_LOCK})")),
                    &mut conn,
                )?;
                migrate::bring_up_to_date(&mut conn, migrate::POSTGRES)
            })
            .await
            .map_err(Error::bug)?
    }

    /// A connection, waited for no longer than the pool's time, whether for a free one or for a new one.
    async fn connection(&self) -> Result<Lent> {
        let busy = || Error::unavailable(Away::Busy, "no database connection became free in time");
        let got = tokio::time::timeout(self.wait, self.pool.get()).await.map_err(|_| busy())?;
        got.map(|connection| Lent(Some(connection))).map_err(|error| match error {
            PoolError::Timeout(TimeoutType::Wait) => busy(),
            other => Error::unavailable(Away::Database, other),
        })
    }

    async fn begun(&self) -> Result<Lent> {
        let mut lent = self.connection().await?;
        let begun = within(self.deadline, AnsiTransactionManager::begin_transaction(&mut *lent)).await;
        tell_lost(&mut lent, begun).await?;
        Ok(lent)
    }
}

/// A connection on loan. Unless it is given back it is closed: a request that was dropped in the middle leaves no
/// transaction open, no lock held and no statement running that the next one would wait behind.
struct Lent(Option<Object<AsyncPgConnection>>);

impl Lent {
    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(doubtful) = self.0.take() {
            drop(Object::take(doubtful));
        }
    }
}

impl std::ops::Deref for Lent {
    type Target = AsyncPgConnection;

    #[expect(clippy::expect_used, reason = "only giving it back takes it out, and that consumes this")]
    fn deref(&self) -> &AsyncPgConnection {
        self.0.as_ref().expect("a connection that was not given back")
    }
}

impl std::ops::DerefMut for Lent {
    #[expect(clippy::expect_used, reason = "only giving it back takes it out, and that consumes this")]
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        self.0.as_mut().expect("a connection that was not given back")
    }
}

/// A server that ends a connection says so in words that depend on its language, and closes it a moment later: whether
/// an error was that is asked of the connection.
async fn tell_lost<T>(lent: &mut AsyncPgConnection, result: Result<T>) -> Result<T> {
    let Err(Error::Unavailable(fault)) = result else { return result };
    if fault.what == Away::Database {
        for _ in 0..CLOSING_CHECKS {
            if PoolableConnection::is_broken(lent) {
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
