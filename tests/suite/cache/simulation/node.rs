//! A simulated node: its lease, what it remembers of ended sessions, and what it has yet to confirm. Its methods follow
//! those of `Coherence`, the beats of `base::db` and the listening loop. Used by the world.
//!
//! Invariant: `remembers` holds each session that has ended and that the node might still answer from memory.

use std::collections::BTreeSet;
use std::time::Duration;

use sessile::base::coherence::{Announcements, Lease, Moment, Renewal};

use super::server::{Time, nanos};

/// A node's row in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The word of whoever doubted the row.
    pub doubt: Option<u64>,
}

pub struct Node {
    pub name: String,
    /// Each node's clock shows another time.
    offset: u64,
    lease: Lease,
    announcements: Announcements,
    had_lease: bool,
    /// The end of the last lease, while there is none.
    lost_until: Option<Moment>,
    /// In the database.
    pub row: Option<Row>,
    /// The node has to add its row before it sends a beat or counts one.
    pub must_join: bool,
    pub is_dead: bool,
    pub frozen_until: Time,
    pub delayed_until: Time,
    pub delay: Duration,
    /// The number of the listening connection. `None` while the node knows that it does not listen.
    pub listens: Option<u64>,
    /// Whether the server still sends to the connection.
    pub is_connected: bool,
    /// When the last message on each connection arrives: later ones arrive later.
    pub last_delivery: Time,
    /// The ends that the node has to confirm, each with the node that waits.
    pub unconfirmed: Vec<(usize, usize)>,
    pub is_confirming: bool,
    /// Whether something is to be mentioned to open pages.
    pub mentions: bool,
    pub remembers: BTreeSet<usize>,
    pub losses: u64,
    pub without_lease: Duration,
    pub heard: u64,
}

impl Node {
    pub fn new(at: usize, offset: u64) -> Self {
        Self {
            name: format!("node{at:08}"),
            offset,
            lease: Lease::default(),
            announcements: Announcements::default(),
            had_lease: false,
            lost_until: None,
            row: None,
            must_join: true,
            is_dead: false,
            frozen_until: 0,
            delayed_until: 0,
            delay: Duration::ZERO,
            listens: Some(0),
            is_connected: true,
            last_delivery: 0,
            unconfirmed: Vec::new(),
            is_confirming: false,
            mentions: false,
            remembers: BTreeSet::new(),
            losses: 0,
            without_lease: Duration::ZERO,
            heard: 0,
        }
    }

    /// The time on this node's clock.
    pub fn moment(&self, now: Time) -> Moment {
        Moment::from_nanos(now + self.offset)
    }

    pub fn send_beat(&mut self, now: Time) -> u64 {
        let now = self.moment(now);
        self.lease.send(now)
    }

    pub fn has_lease(&self, now: Time) -> bool {
        self.lease.allows(self.moment(now))
    }

    /// Hears a beat. Returns whether the lease was extended without emptying the cache.
    pub fn hear_beat(&mut self, number: u64, now: Time) -> bool {
        if self.must_join {
            return false;
        }
        let (now, until) = (self.moment(now), self.lease.until().or(self.lost_until));
        match self.lease.hear(number, now, &mut self.announcements) {
            Renewal::Ignored => false,
            Renewal::Extended => true,
            Renewal::Regained => {
                if self.lease.allows(now) {
                    self.losses += u64::from(self.had_lease);
                    self.without_lease += until.map(|until| now.since(until)).unwrap_or_default();
                    (self.had_lease, self.lost_until) = (true, None);
                }
                self.remembers.clear();
                false
            }
        }
    }

    /// How long the node had no lease, until now.
    pub fn time_without_lease(&self, now: Time) -> Duration {
        let until = self.lease.until().or(self.lost_until);
        let since = until.map(|until| self.moment(now).since(until)).unwrap_or_default();
        self.without_lease + since
    }

    /// The node cannot know what it has missed.
    pub fn lose(&mut self, now: Time) {
        let now = self.moment(now);
        self.lost_until = self.lease.until().map(|until| until.min(now)).or(self.lost_until);
        self.lease.lose();
        self.remembers.clear();
    }

    /// Starts to listen on a new connection.
    pub fn listen(&mut self, connection: u64) {
        (self.listens, self.is_connected) = (Some(connection), true);
        (self.must_join, self.is_confirming) = (true, false);
        self.remembers.clear();
    }

    /// When a message that is sent now arrives. `network`: how long it takes without trouble.
    pub fn arrival(&self, now: Time, network: Duration) -> Time {
        let more = if now < self.delayed_until { self.delay } else { Duration::ZERO };
        now + nanos(network + more)
    }
}
