//! A PostgreSQL connection on loan to a unit of work. Called by the pools.
//!
//! Invariant: a connection that is not returned is closed, and keeps its place until none of its statements can still change
//! anything. So a program never has more connections than its pool, even when commits wait on the server.

use std::time::Instant;

use diesel_async::SimpleAsyncConnection as _;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, watch},
};

use super::postgres::{Connection, Pooled};

/// Unless it is returned to the pool it is closed: a request that was dropped in the middle leaves no open transaction, no
/// lock and no running statement for the next request to wait behind.
pub(super) struct Lease {
    connection: Option<Pooled>,
    /// Of one that may write: its place among them.
    place: Option<OwnedSemaphorePermit>,
    /// Since when a commit may be under way on it.
    committing_since: Option<Instant>,
    replaced: watch::Receiver<Option<Instant>>,
    runtime: Handle,
}

impl Lease {
    /// `replaced` tells when another server last took the place of one that hangs.
    pub(super) fn new(
        connection: Pooled,
        place: Option<OwnedSemaphorePermit>,
        replaced: watch::Receiver<Option<Instant>>,
        runtime: Handle,
    ) -> Self {
        Self { connection: Some(connection), place, committing_since: None, replaced, runtime }
    }

    /// From now on a commit may be under way on it. A commit that waits for a standby is not ended by the end of its connection.
    pub(super) fn note_commit(&mut self) {
        self.committing_since = Some(Instant::now());
    }

    pub(super) fn return_to_pool(mut self) {
        drop(self.connection.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        match self.committing_since {
            Some(since) => {
                self.runtime.spawn(close_when_done(connection, self.place.take(), since, self.replaced.clone()));
            }
            None => drop(Pooled::take(connection)),
        }
    }
}

/// Closes a connection on which a commit may be under way: once the server has answered, is gone, or hangs and another has
/// taken its place. A server that is merely slow is waited for: otherwise each commit that waits for a standby would leave a
/// connection behind.
async fn close_when_done(
    mut connection: Pooled,
    place: Option<OwnedSemaphorePermit>,
    since: Instant,
    mut replaced: watch::Receiver<Option<Instant>>,
) {
    // Statements of a connection are answered in order.
    tokio::select! {
        _ = connection.batch_execute("") => {}
        _ = replaced.wait_for(|replaced| replaced.is_some_and(|at| at > since)) => {}
    }
    drop(Pooled::take(connection));
    drop(place);
}

impl std::ops::Deref for Lease {
    type Target = Connection;

    #[expect(clippy::expect_used, reason = "only giving it back takes it out, and that consumes this")]
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a connection that was not given back")
    }
}

impl std::ops::DerefMut for Lease {
    #[expect(clippy::expect_used, reason = "only giving it back takes it out, and that consumes this")]
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a connection that was not given back")
    }
}
