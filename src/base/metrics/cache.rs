//! The metrics of the session cache. Created and registered by [`Counts`](super::counts::Counts).

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::present::CachePresent;

/// Upper bounds in seconds of the waits for other nodes, which last at most half a second.
const WAITS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.6];

pub(super) struct CacheCounts {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) evictions: Counter,
    pub(super) wait_seconds: Histogram,
    bytes: Gauge<f64, AtomicU64>,
    sessions: Gauge<f64, AtomicU64>,
    lease: Gauge<f64, AtomicU64>,
}

impl Default for CacheCounts {
    fn default() -> Self {
        Self {
            hits: Counter::default(),
            misses: Counter::default(),
            evictions: Counter::default(),
            wait_seconds: Histogram::new(WAITS),
            bytes: Gauge::default(),
            sessions: Gauge::default(),
            lease: Gauge::default(),
        }
    }
}

impl CacheCounts {
    pub(super) fn register(&self, all: &mut Registry) {
        all.register("session_cache_hits", "Sessions that were found in memory", self.hits.clone());
        all.register(
            "session_cache_misses",
            "Sessions that the database was asked for while this node had a lease",
            self.misses.clone(),
        );
        all.register("session_cache_evictions", "Sessions evicted to make room", self.evictions.clone());
        all.register("session_cache_bytes", "Memory of the cached sessions", self.bytes.clone());
        all.register("session_cache_sessions", "Cached sessions", self.sessions.clone());
        all.register("session_cache_lease", "1 while this node may answer from memory, else 0", self.lease.clone());
        all.register(
            "session_cache_wait_seconds",
            "Time that a change waited until no other node could answer with what was there before",
            self.wait_seconds.clone(),
        );
    }

    #[expect(clippy::cast_precision_loss, reason = "the memory of a machine is below 2^52 bytes")]
    pub(super) fn present(&self, now: &CachePresent) {
        self.bytes.set(now.bytes as f64);
        self.sessions.set(now.sessions as f64);
        self.lease.set(if now.has_lease { 1.0 } else { 0.0 });
    }
}
