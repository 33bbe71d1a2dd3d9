//! What a simulation counted. Used by the world and by the cases.

use std::time::Duration;

#[derive(Debug, Default)]
pub struct Figures {
    pub time: Duration,
    pub nodes: usize,
    pub nodes_with_lease: usize,
    pub cores: usize,
    pub beats: u64,
    pub ends: u64,
    pub confirmations: u64,
    /// Ends that were acknowledged because the time was over.
    pub by_patience: u64,
    /// How long each acknowledged end took, sorted.
    pub acknowledged: Vec<Duration>,
    /// Nodes that could answer from memory with a session whose end was acknowledged.
    pub stale: u64,
    pub troubles: u64,
    pub heard: u64,
    pub losses: u64,
    pub without_lease: Duration,
    /// Processor time of the server.
    pub busy: Duration,
    /// How long the lock of notifying commits was held.
    pub locked: Duration,
    pub wakes: u64,
    pub notifications: u64,
    /// Transactions that notified.
    pub notifying: u64,
}

impl Figures {
    pub fn a_second(&self, count: u64) -> f64 {
        count as f64 / self.time.as_secs_f64()
    }

    /// How many cores of the server were busy on average.
    pub fn busy_cores(&self) -> f64 {
        self.busy.as_secs_f64() / self.time.as_secs_f64()
    }

    /// The share of the time in which the lock was held.
    pub fn locked(&self) -> f64 {
        self.locked.as_secs_f64() / self.time.as_secs_f64()
    }

    /// How long the given share of the ends took at most; zero without ends.
    pub fn acknowledged_within(&self, share: f64) -> Duration {
        let at = (self.acknowledged.len() as f64 * share) as usize;
        self.acknowledged.get(at).or(self.acknowledged.last()).copied().unwrap_or_default()
    }

    /// The share of the nodes' time without a lease.
    pub fn without_lease(&self) -> f64 {
        self.without_lease.as_secs_f64() / (self.time.as_secs_f64() * self.nodes as f64)
    }

    /// Whether all nodes keep their leases, and the ends are acknowledged by confirmations, nearly all of them soon.
    pub fn is_carried(&self) -> bool {
        let is_served = self.acknowledged.len() as f64 >= self.ends as f64 * 0.95 - 20.0 && self.by_patience == 0;
        let has_leases = self.nodes_with_lease == self.nodes && self.losses == 0;
        is_served && has_leases && self.acknowledged_within(0.99) < SOON
    }
}

/// Half of what a node waits at most.
const SOON: Duration = Duration::from_millis(250);
