//! Values that are read when `GET /metrics` is requested, in addition to the counters. Filled in by `ops`, rendered by
//! the parent.
//!
//! Invariant: the values are copies. Nothing is stored here between requests.

use std::time::Duration;

/// Current values, read at the time of the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Present {
    pub pool: Pool,
    pub cache: CachePresent,
    /// Passwords that are being hashed or are waiting to be hashed.
    pub hashes_waiting: usize,
    /// Touches that are not written yet.
    pub touches_waiting: usize,
    /// How long the oldest unwritten touch has waited.
    pub oldest_touch: Duration,
    /// Live sessions at the last count; `None` before the first count.
    pub live_sessions: Option<i64>,
    /// Log lines that were not written since the start.
    pub log_lines_lost: u64,
    /// Number of requests whose `Host` a proxy had changed, and the time since the last of them.
    pub wrong_hosts: (u64, Option<Duration>),
}

/// The session cache.
#[derive(Debug, Clone, Copy, Default)]
pub struct CachePresent {
    pub bytes: u64,
    pub sessions: usize,
    /// Whether this node may answer from memory.
    pub has_lease: bool,
}

/// The database connections of all lanes together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pool {
    pub max: usize,
    pub open: usize,
    /// Connections that a unit of work is using.
    pub in_use: usize,
}
