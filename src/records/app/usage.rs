//! When apps were last used, and how many requests they would have refused. The gate notes both in memory, and a job
//! writes them now and then, so that no request waits for it.
//!
//! Invariant: at most one entry per app is kept, and what could not be written is written later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::statements;
use crate::base::{
    db::{Conn, Db},
    error::Result,
};

/// What happened at an app's gate since the last write.
#[derive(Debug, Clone, Copy, Default)]
struct Noted {
    is_used: bool,
    refused: i64,
}

/// What is not written yet. Cheap to clone; all clones share it.
#[derive(Debug, Clone, Default)]
pub struct Usage(Arc<Mutex<BTreeMap<String, Noted>>>);

impl Usage {
    /// How often it is flushed.
    pub const INTERVAL: Duration = Duration::from_secs(5);

    pub fn note_used(&self, app_id: &str) {
        self.note(app_id, |noted| noted.is_used = true);
    }

    /// Notes that an app with `observe` would have refused a request.
    pub fn note_refused(&self, app_id: &str) {
        self.note(app_id, |noted| noted.refused += 1);
    }

    /// Writes what was noted. Returns the number of apps.
    pub async fn flush(&self, db: &Db) -> Result<usize> {
        let taken = std::mem::take(&mut *self.lock());
        let apps: Vec<(String, Noted)> = taken.into_iter().collect();
        let many = apps.len();
        if many == 0 {
            return Ok(0);
        }
        let writing = apps.clone();
        let written = db
            .write(async move |conn: &mut Conn<'_>| {
                for (id, noted) in &writing {
                    statements::note_usage(conn, id, noted.is_used, noted.refused).await?;
                }
                Ok(many)
            })
            .await;
        if written.is_err() {
            for (id, noted) in apps {
                self.note(&id, |waiting| {
                    waiting.is_used |= noted.is_used;
                    waiting.refused += noted.refused;
                });
            }
        }
        written
    }

    fn note(&self, app_id: &str, what: impl FnOnce(&mut Noted)) {
        let mut waiting = self.lock();
        match waiting.get_mut(app_id) {
            Some(noted) => what(noted),
            None => what(waiting.entry(app_id.to_owned()).or_default()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Noted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
