//! A PostgreSQL connection lent to a unit of work. Called by the pools.
//!
//! Invariant: a connection that is not returned is closed. It keeps its place in the pool until none of its statements
//! can change anything any more. So the process never has more connections than its pool allows, even when commits wait
//! on the server.

use std::time::Instant;

use diesel_async::SimpleAsyncConnection as _;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, watch},
};

use super::postgres::{Connection, Pooled};

/// A connection that is closed on drop, unless it was returned to the pool. A request that is cancelled therefore
/// leaves no open transaction, lock or running statement that would block the next request.
pub(super) struct Lease {
    connection: Option<Pooled>,
    /// A writer's place, for a connection that may write.
    place: Option<OwnedSemaphorePermit>,
    /// Since when a commit may be in progress on the connection.
    committing_since: Option<Instant>,
    replaced: watch::Receiver<Option<Instant>>,
    runtime: Handle,
}

impl Lease {
    /// `replaced` holds the time when another host last replaced a host that hangs.
    pub(super) fn new(
        connection: Pooled,
        place: Option<OwnedSemaphorePermit>,
        replaced: watch::Receiver<Option<Instant>>,
        runtime: Handle,
    ) -> Self {
        Self { connection: Some(connection), place, committing_since: None, replaced, runtime }
    }

    /// Notes that a commit may be in progress from now on. Closing the connection does not end a commit that waits for
    /// a standby.
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

/// Closes a connection on which a commit may be in progress. First waits until the server has answered, has closed the
/// connection, or hangs and was replaced by another host. A slow server gets time to answer: otherwise each commit that
/// waits for a standby would leave a connection behind on the server.
async fn close_when_done(
    mut connection: Pooled,
    place: Option<OwnedSemaphorePermit>,
    since: Instant,
    mut replaced: watch::Receiver<Option<Instant>>,
) {
    // The server answers statements in order, so this answer comes after the commit's.
    tokio::select! {
        _ = connection.batch_execute("") => {}
        _ = replaced.wait_for(|replaced| replaced.is_some_and(|at| at > since)) => {}
    }
    drop(Pooled::take(connection));
    drop(place);
}

impl std::ops::Deref for Lease {
    type Target = Connection;

    #[expect(
        clippy::expect_used,
        reason = "only `return_to_pool` and `drop` take the connection, and both end the lease"
    )]
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("the lease still holds its connection")
    }
}

impl std::ops::DerefMut for Lease {
    #[expect(
        clippy::expect_used,
        reason = "only `return_to_pool` and `drop` take the connection, and both end the lease"
    )]
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("the lease still holds its connection")
    }
}
