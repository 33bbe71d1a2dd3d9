//! Session activity. A touch is queued and visible at once. All queued touches are written at least every second and at
//! shutdown, in statements of at most 2,000 touches, in order of account and id. Called by `current` (queue) and by
//! `serve` (flush).
//!
//! Invariant: a touch only moves a session forward, and only while the session is live. The touch of a session near its
//! expiry is written before the response, so that a session used in time does not expire while its touch is queued,
//! unless the database is unavailable that long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Stopwatch};

use super::{
    lifetimes::Lifetimes,
    record::{Record, SessionRef},
};
use crate::base::{
    db::{Conn, Db, Instant, TouchRow, Touches, by_part},
    error::Result,
};

/// How often the queue is flushed.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// Maximum number of sessions that one statement touches. With [`FLUSH_INTERVAL`] this bounds the statements in a
/// minute: 120 flushes, and one more for each 2,000 sessions. It also bounds how long a statement holds its locks.
const BATCH: usize = 2000;

/// Whether and how to write a session's activity.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// The last touch is less than one interval old.
    No,
    /// The touch can wait for the next flush.
    Queue(TouchRow),
    /// The session is so near its expiry that the touch must be written before the response.
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
    /// Touches that a flush in progress is writing.
    under_way: BTreeMap<SessionRef, TouchRow>,
    /// Lower bound for the time at which the oldest waiting touch was queued.
    since: Option<Stopwatch>,
}

impl TouchQueue {
    /// Queues a touch. It replaces an older touch of the same session.
    pub fn push(&self, row: TouchRow) {
        let mut queue = self.lock();
        queue.since.get_or_insert_with(Stopwatch::now);
        queue.waiting.insert(SessionRef::new(&row.account_id, &row.id), row);
    }

    /// The number of touches that are not written yet.
    pub fn len(&self) -> usize {
        let queue = self.lock();
        queue.waiting.len() + queue.under_way.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long the oldest touch has waited.
    pub fn oldest(&self) -> Duration {
        self.lock().since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Applies the queued touch of the session, if there is one, to its record.
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

    /// Writes all queued touches, in order of account and id. Touches that cannot be written stay queued.
    pub async fn flush(&self, db: &Db) -> Result<usize> {
        let taken = Stopwatch::now();
        let rows: Vec<TouchRow> = {
            let mut queue = self.lock();
            let taken = std::mem::take(&mut queue.waiting);
            queue.under_way.extend(taken);
            queue.under_way.values().cloned().collect()
        };
        let many = rows.len();
        let written = self.write_all(db, rows).await;
        let mut queue = self.lock();
        if let Err(error) = written {
            let under_way = std::mem::take(&mut queue.under_way);
            for (session, row) in under_way {
                queue.waiting.entry(session).or_insert(row);
            }
            return Err(error);
        }
        queue.since = (!queue.waiting.is_empty()).then_some(taken);
        Ok(many)
    }

    /// Writes the touches under way. Those that cannot be written stay under way. On one server, the first error ends the
    /// flush.
    async fn write_all(&self, db: &Db, rows: Vec<TouchRow>) -> Result<()> {
        let mut failed = None;
        for batch in batches(db, rows).await? {
            match write(db, batch.clone()).await {
                Ok(_) => {}
                Err(error) if db.is_distributed() => {
                    failed.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            }
            let mut queue = self.lock();
            for row in &batch {
                queue.under_way.remove(&SessionRef::new(&row.account_id, &row.id));
            }
            drop(queue);
            db.metrics().touches_flushed(batch.len());
        }
        failed.map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Divides touches among the statements that write them. If the tables are distributed, each statement goes to one
/// worker, so that a worker that is away delays only its own accounts.
async fn batches(db: &Db, rows: Vec<TouchRow>) -> Result<Vec<Vec<TouchRow>>> {
    let parts =
        if db.is_distributed() { by_part(db, rows, |row: &TouchRow| &row.account_id).await? } else { vec![rows] };
    Ok(parts.iter().flat_map(|part| part.chunks(BATCH)).map(<[TouchRow]>::to_vec).collect())
}

/// Writes touches in one statement. Returns the number of sessions that were still live and changed.
pub async fn write(db: &Db, rows: Vec<TouchRow>) -> Result<usize> {
    if rows.is_empty() {
        return Ok(0);
    }
    db.statement(async move |conn: &mut Conn<'_>| Touches::new(&rows).write(conn).await).await
}
