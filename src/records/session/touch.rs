//! Activity. A touch is queued, shown at once, and written with all others in one statement, at least every second and
//! at shutdown. Called by `current` (queue) and by `serve` (flush).
//!
//! Invariant: a touch moves a session only forward and only while it lives; a session near its end is written before
//! its answer, so that one that was used in time never expires in the queue, unless the database is away for as long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Stopwatch};

use super::{
    lifetimes::Lifetimes,
    record::{Record, SessionRef},
};
use crate::base::{
    db::{Conn, Db, Instant, TouchRow, Touches, run},
    error::Result,
};

/// How often the queue is flushed.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// Sessions a statement touches at most.
const BATCH: usize = 500;

/// What is to be done about a session's activity.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// It was touched less than an interval ago.
    No,
    /// It may wait for the next flush.
    Queue(TouchRow),
    /// It is so near its end that it must be written before the answer.
    Now(TouchRow),
}

/// Whether activity at `now` must be written, and how soon.
pub fn due(record: &Record, now: Instant, ip: Option<&str>, times: Lifetimes) -> Due {
    if now.since(record.last_activity) < times.touch_interval {
        return Due::No;
    }
    let row = TouchRow {
        account_id: record.account_id.clone(),
        id: record.id.clone(),
        at: now,
        expires_at: now.plus(times.idle).min(record.absolute_expires_at),
        ip: ip.map(str::to_owned).or_else(|| record.ip.clone()),
    };
    if record.expires_at.since(now) < (times.touch_interval * 2).max(FLUSH_INTERVAL * 4) {
        Due::Now(row)
    } else {
        Due::Queue(row)
    }
}

/// The touches that are not written yet. Cheap to clone; all clones share the queue.
#[derive(Debug, Clone, Default)]
pub struct TouchQueue {
    queued: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<SessionRef, TouchRow>,
    /// Taken by a flush that has not ended yet.
    under_way: BTreeMap<SessionRef, TouchRow>,
    /// Since when something waits that could have been written.
    since: Option<Stopwatch>,
}

impl TouchQueue {
    /// Puts a touch in the queue, in place of an older one of the same session.
    pub fn push(&self, row: TouchRow) {
        let mut queue = self.lock();
        queue.since.get_or_insert_with(Stopwatch::now);
        queue.waiting.insert(SessionRef::new(&row.account_id, &row.id), row);
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        let queue = self.lock();
        queue.waiting.len() + queue.under_way.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long the oldest has waited.
    pub fn oldest(&self) -> Duration {
        self.lock().since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Shows a session as it will be once its touch is written.
    pub fn overlay(&self, record: &mut Record) {
        let queue = self.lock();
        let session = SessionRef::new(&record.account_id, &record.id);
        let touched = queue.waiting.get(&session).or_else(|| queue.under_way.get(&session));
        if let Some(row) = touched.filter(|row| row.at > record.last_activity) {
            record.last_activity = row.at;
            record.expires_at = row.expires_at;
            record.ip.clone_from(&row.ip);
        }
    }

    /// Writes all that wait, in the order of accounts and ids. What could not be written waits on.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn flush(&self, db: &Db) -> Result<usize> {
        let taken = Stopwatch::now();
        let rows: Vec<TouchRow> = {
            let mut queue = self.lock();
            let taken = std::mem::take(&mut queue.waiting);
            queue.under_way.extend(taken);
            queue.under_way.values().cloned().collect()
        };
        for batch in rows.chunks(BATCH) {
            let written = write(db, batch.to_vec()).await;
            let mut queue = self.lock();
            if let Err(error) = written {
                let under_way = std::mem::take(&mut queue.under_way);
                for (session, row) in under_way {
                    queue.waiting.entry(session).or_insert(row);
                }
                return Err(error);
            }
            for row in batch {
                queue.under_way.remove(&SessionRef::new(&row.account_id, &row.id));
            }
            db.metrics().touches_flushed(batch.len());
        }
        let mut queue = self.lock();
        queue.since = (!queue.waiting.is_empty()).then_some(taken);
        Ok(rows.len())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes touches in one statement; how many sessions they moved.
///
/// # Errors
/// When the database is away.
pub async fn write(db: &Db, rows: Vec<TouchRow>) -> Result<usize> {
    if rows.is_empty() {
        return Ok(0);
    }
    db.statement(async move |conn: &mut Conn<'_>| run!(conn, execute(Touches(&rows)))).await
}
