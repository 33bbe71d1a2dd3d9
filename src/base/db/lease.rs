//! A PostgreSQL connection on loan to a unit of work. Called by the pools.
//!
//! Invariant: one that is not given back is closed, and keeps its place until no statement of ours can still change
//! something on it. So a program never has more connections than its pool, even when commits wait on the server.

use std::time::Instant;

use diesel_async::SimpleAsyncConnection as _;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, watch},
};

use super::postgres::{Connection, Pooled};

/// Unless it is given back it is closed: a request that was dropped in the middle leaves no transaction open, no lock
/// held and no statement running that the next one would wait behind.
pub(super) struct Lent {
    connection: Option<Pooled>,
    /// Of one that may write: its place among them.
    place: Option<OwnedSemaphorePermit>,
    /// Since when the server has been asked to make something last.
    lasting: Option<Instant>,
    replaced: watch::Receiver<Option<Instant>>,
    runtime: Handle,
}

impl Lent {
    /// `replaced` tells when another server last took the place of one that hangs.
    pub(super) fn new(
        connection: Pooled,
        place: Option<OwnedSemaphorePermit>,
        replaced: watch::Receiver<Option<Instant>>,
        runtime: Handle,
    ) -> Self {
        Self { connection: Some(connection), place, lasting: None, replaced, runtime }
    }

    /// From now on something on it may last. A commit that waits for a standby is not ended by the end of its connection.
    pub(super) fn make_last(&mut self) {
        self.lasting = Some(Instant::now());
    }

    pub(super) fn give_back(mut self) {
        drop(self.connection.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(doubtful) = self.connection.take() else { return };
        match self.lasting {
            Some(since) => {
                self.runtime.spawn(see_it_end(doubtful, self.place.take(), since, self.replaced.clone()));
            }
            None => drop(Pooled::take(doubtful)),
        }
    }
}

/// Waits until the server is done with what it was asked, or is gone, or hangs and another has taken its place. One that is
/// merely slow is waited for: else each commit that waits would leave a connection behind.
async fn see_it_end(
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

impl std::ops::Deref for Lent {
    type Target = Connection;

    #[expect(clippy::expect_used, reason = "only giving it back takes it out, and that consumes this")]
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a connection that was not given back")
    }
}

impl std::ops::DerefMut for Lent {
    #[expect(clippy::expect_used, reason = "only giving it back takes it out, and that consumes this")]
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a connection that was not given back")
    }
}
