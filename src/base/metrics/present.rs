//! What `GET /metrics` looks at when it is asked, beside the counts.

use std::time::Duration;

/// What is not counted but looked at when somebody asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Present {
    /// The database's connections.
    pub pool: Pool,
    /// Passwords that are being hashed or wait for it.
    pub hashes_waiting: usize,
    /// Touches that are not written yet.
    pub touches_waiting: usize,
    /// How long the oldest of them has waited.
    pub oldest_touch: Duration,
    /// Sessions that live, as last counted; `None` before the database has answered that once.
    pub live_sessions: Option<i64>,
    /// Lines of the log that were not written, since the start.
    pub log_lines_lost: u64,
    /// Requests that a proxy passed on with another host than the browser's, and how long ago the last one was.
    pub wrong_hosts: (u64, Option<Duration>),
}

/// The connections to the database, of all lanes together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pool {
    /// How many there may be.
    pub max: usize,
    /// How many are open.
    pub open: usize,
    /// How many are lent to a unit of work.
    pub in_use: usize,
}
