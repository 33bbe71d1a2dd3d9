//! PostgreSQL: one pool, on a runtime of its own, so that a connection never depends on the worker that opened it.
//!
//! Invariant: a connection on which anything went wrong is dropped, not handed back.

use std::time::Duration;

use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, TransactionManager,
    async_connection_wrapper::AsyncConnectionWrapper,
    pooled_connection::{
        PoolableConnection,
        deadpool::{Object, Pool, PoolError},
    },
};
use tokio::runtime::Runtime;

use super::{Conn, migrate, postgres, postgres::ConnectPlan, within};
use crate::{
    error::{Away, Error, Result},
    settings::Settings,
};

/// All nodes that bring a schema up to date take this advisory lock: the letters of the product's name.
const MIGRATION_LOCK: i64 = 0x0073_6573_7369_6c65;
/// A migration may take this long; a request may not.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(600);
/// How often, and how far apart, a connection that failed is asked whether it has closed.
const CLOSING_CHECKS: u32 = 5;
const CLOSING_CHECK: Duration = Duration::from_millis(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The pool and the runtime that drives its connections.
pub(super) struct Pools {
    pool: Pool<AsyncPgConnection>,
    for_migrations: ConnectPlan,
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
        let result = work(&mut Conn::Postgres(&mut lent, self.deadline)).await;
        let result = tell_lost(&mut lent, result).await;
        give_back(lent, &result);
        result
    }

    /// Runs `work` in a transaction. A connection that proves dead at BEGIN, before anything happened, is replaced once.
    pub(super) async fn transaction<T, Work>(&self, work: Work) -> Result<T>
    where
        Work: AsyncFnOnce(&mut Conn<'_>) -> Result<T>,
    {
        let mut lent = match self.begun().await {
            Err(Error::Unavailable(fault)) if fault.what == Away::Connection => self.begun().await?,
            begun => begun?,
        };
        let mut result = work(&mut Conn::Postgres(&mut lent, self.deadline)).await;
        result = match result {
            Ok(value) => {
                within(self.deadline, AnsiTransactionManager::commit_transaction(&mut *lent)).await.map(|()| value)
            }
            Err(error) => {
                // When even this fails the connection is broken, and the pool drops it.
                let rollback = AnsiTransactionManager::rollback_transaction(&mut *lent);
                if let Err(second) = within(self.deadline, rollback).await {
                    tracing::debug!(%second, "a transaction was not rolled back by us but by its connection's end");
                    drop(Object::take(lent));
                    return Err(error);
                }
                Err(error)
            }
        };
        give_back(lent, &result);
        result
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

    async fn connection(&self) -> Result<Object<AsyncPgConnection>> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Timeout(_) => Error::unavailable(Away::Busy, "no database connection became free in time"),
            other => Error::unavailable(Away::Database, other),
        })
    }

    async fn begun(&self) -> Result<Object<AsyncPgConnection>> {
        let mut lent = self.connection().await?;
        let begun = within(self.deadline, AnsiTransactionManager::begin_transaction(&mut *lent)).await;
        match begun {
            Ok(()) => Ok(lent),
            Err(error) => {
                drop(Object::take(lent));
                Err(error)
            }
        }
    }
}

/// A server that ends a connection says so in words that depend on its language, and closes it a moment later: whether
/// an error was that is asked of the connection.
async fn tell_lost<T>(lent: &mut Object<AsyncPgConnection>, result: Result<T>) -> Result<T> {
    let Err(Error::Unavailable(fault)) = result else { return result };
    if fault.what == Away::Database {
        for _ in 0..CLOSING_CHECKS {
            if PoolableConnection::is_broken(&mut **lent) {
                return Err(Error::unavailable(Away::Connection, fault.cause));
            }
            tokio::time::sleep(CLOSING_CHECK).await;
        }
    }
    Err(Error::Unavailable(fault))
}

/// Back to the pool, unless what happened casts doubt on the connection.
fn give_back<T>(lent: Object<AsyncPgConnection>, result: &Result<T>) {
    if matches!(result, Err(Error::Unavailable(_))) {
        drop(Object::take(lent));
    }
}

impl Drop for Pools {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
