//! Opens the connections of the pool. Called by the pools of `db`.
//!
//! Invariant: a closed connection, one with an open transaction, or one to a server that has been replaced is never
//! handed out again.

use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{BuildError, Manager, Metrics, Object, Pool, RecycleError, RecycleResult};
use tokio::runtime::Handle;

use super::{connection::Connection, plan::ConnectPlan, refusal::ConnectError};

/// A connection on loan from the pool.
pub type Pooled = Object<Opener>;

/// Builds a pool of at most `size` connections, which are opened on demand and live on `runtime`. A request waits at
/// most `wait` for a free connection, and at most `wait` more if a new one has to be opened. A connection that dies
/// unnoticed fails its first statement.
pub fn pool(plan: ConnectPlan, size: usize, wait: Duration, runtime: Handle) -> Result<Pool<Opener>, BuildError> {
    Pool::builder(Opener { plan: plan.within(wait), runtime })
        .max_size(size)
        .wait_timeout(Some(wait))
        .create_timeout(Some(wait))
        .recycle_timeout(Some(wait))
        .runtime(Runtime::Tokio1)
        .build()
}

/// Opens the pool's connections on the runtime that drives them.
pub struct Opener {
    plan: ConnectPlan,
    runtime: Handle,
}

impl Manager for Opener {
    type Type = Connection;
    type Error = ConnectError;

    async fn create(&self) -> Result<Connection, ConnectError> {
        let plan = self.plan.clone();
        let opened = self.runtime.spawn(async move { plan.connect().await }).await;
        opened.unwrap_or_else(|error| Err(ConnectError::away(error.to_string())))
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<ConnectError> {
        if std::thread::panicking() || connection.is_broken() {
            return Err(RecycleError::message("the connection is closed or has an open transaction"));
        }
        if connection.is_replaced() {
            return Err(RecycleError::message("another server has been promoted"));
        }
        Ok(())
    }
}
