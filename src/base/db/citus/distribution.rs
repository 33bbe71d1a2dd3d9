//! What this process knows about the placement of the tables. Called by the pools.
//!
//! Invariant: the placement is known before a connection is lent for the first time. Later it may be out of date for a
//! moment, because `sessile distribute` may run in another process.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use deadpool::managed::Pool;
use diesel_async::AsyncPgConnection;
use tokio::runtime::Handle;

use super::look::look;
use crate::base::{
    db::postgres::{Opener, Pooled},
    error::Result,
};

/// Time limit for reading the placement in the background, including the wait for a connection.
const LOOK: Duration = Duration::from_secs(3);

/// Whether the tables are distributed, as far as this process knows. Clones share their state.
#[derive(Clone, Default)]
pub struct Distribution(Arc<State>);

#[derive(Default)]
struct State {
    /// Not set before the first look.
    is_distributed: OnceLock<AtomicBool>,
    /// Whether a task looks at the database.
    is_looking: AtomicBool,
}

impl Distribution {
    /// Whether the tables were distributed when this process last looked.
    pub fn is_distributed(&self) -> bool {
        self.0.is_distributed.get().is_some_and(|known| known.load(Ordering::Acquire))
    }

    /// Notes what a look found.
    pub fn set(&self, found: bool) {
        self.0.is_distributed.get_or_init(|| AtomicBool::new(found)).store(found, Ordering::Release);
    }

    /// Reads the placement, unless this process already knows it.
    pub async fn look_once(&self, conn: &mut AsyncPgConnection) -> Result<()> {
        if self.0.is_distributed.get().is_none() {
            let found = look(conn).await?;
            // Another look may have ended meanwhile, and may be newer.
            self.0.is_distributed.get_or_init(|| AtomicBool::new(found));
        }
        Ok(())
    }

    /// Looks again, in the background, unless a task is looking already.
    pub fn look_again(&self, pool: Pool<Opener>, runtime: &Handle) {
        if self.0.is_looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let known = self.clone();
        runtime.spawn(async move {
            let looking = async {
                let mut conn = pool.get().await.ok()?;
                let found = look(&mut conn).await;
                if found.is_err() {
                    drop(Pooled::take(conn));
                }
                found.ok()
            };
            if let Ok(Some(found)) = tokio::time::timeout(LOOK, looking).await {
                known.set(found);
            }
            known.0.is_looking.store(false, Ordering::Release);
        });
    }
}
