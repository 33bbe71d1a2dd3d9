//! PostgreSQL as the nodes see it: processor time, the lock of notifying commits, and the queue of notifications. Used
//! by the world.
//!
//! - Statements run on the first core that is free, in the order of their arrival.
//! - A transaction that notifies holds one lock, for the whole server, from just before its commit until it has
//!   committed (PostgreSQL 15, `PreCommit_Notify`). A commit that must reach the disk holds it while it waits for the disk.
//! - A commit that notifies wakes every connection that listens on any channel, and each reads the whole queue. While a
//!   connection is behind it is not woken again: commits meanwhile are read in its next turn. With
//!   [`Costs::wakes_only_interested`], only the connections that listen on the channel are woken.
//!
//! Invariant: notifications are delivered in the order of the commits.

use std::time::Duration;

/// Nanoseconds since the start of the simulation.
pub type Time = u64;

/// What the server's work costs, and how much it can do.
#[derive(Debug, Clone)]
pub struct Costs {
    pub cores: usize,
    /// Processor time of a beat's statement.
    pub beat: Duration,
    /// Processor time of a node's transaction that confirms, and of each further confirmation in it.
    pub confirming: Duration,
    pub confirmation: Duration,
    /// Processor time of a transaction that ends a session.
    pub end: Duration,
    pub sign_in: Duration,
    /// Processor time of the statement that writes a node's touches, and of each touch in it.
    pub touching: Duration,
    pub touch: Duration,
    /// Processor time of reading the rows of the nodes, for each row.
    pub row: Duration,
    /// Processor time of waking one connection, and of reading one more notification.
    pub wake: Duration,
    pub read: Duration,
    /// How long a commit holds the lock if it need not reach the disk, and how much longer if it must.
    pub lock: Duration,
    pub disk: Duration,
    pub wakes_only_interested: bool,
}

impl Costs {
    /// Measured on PostgreSQL 15 with `scripts/bench notify` and `scripts/bench costs`, except for what is assumed: the
    /// cores, the disk's millisecond, the lock's time, and the costs of a row and of a further confirmation.
    pub const MEASURED: Self = Self {
        cores: 8,
        beat: Duration::from_micros(350),
        confirming: Duration::from_micros(60),
        confirmation: Duration::from_micros(15),
        end: Duration::from_micros(4400),
        sign_in: Duration::from_micros(7500),
        touching: Duration::from_micros(1000),
        touch: Duration::from_micros(300),
        row: Duration::from_micros(1),
        wake: Duration::from_micros(35),
        read: Duration::from_micros(4),
        lock: Duration::from_micros(50),
        disk: Duration::from_millis(1),
        wakes_only_interested: false,
    };
}

/// A notification in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Beat {
        node: usize,
        number: u64,
    },
    /// To all nodes.
    End {
        end: usize,
    },
    Confirmation {
        end: usize,
        from: usize,
        to: usize,
    },
    /// To all nodes, for open pages.
    Mention,
    /// Beats and confirmations of several nodes, to all nodes.
    Gathered {
        is_first: bool,
    },
}

/// A turn in which the connections that were woken read the queue.
pub struct Turn {
    pub entries: Vec<Entry>,
    pub began: Time,
    pub ended: Time,
}

pub struct Server {
    costs: Costs,
    /// When each core is free again.
    free: Vec<Time>,
    lock_is_free: Time,
    unread: Vec<Entry>,
    has_turn: bool,
    pub busy: Duration,
    pub locked: Duration,
    pub wakes: u64,
    pub notifications: u64,
    pub transactions: u64,
}

impl Server {
    pub fn new(costs: Costs) -> Self {
        Self {
            free: vec![0; costs.cores],
            costs,
            lock_is_free: 0,
            unread: Vec::new(),
            has_turn: false,
            busy: Duration::ZERO,
            locked: Duration::ZERO,
            wakes: 0,
            notifications: 0,
            transactions: 0,
        }
    }

    /// Uses a core, and returns when the work is done.
    pub fn work(&mut self, now: Time, cost: Duration) -> Time {
        self.busy += cost;
        let free = self.free.iter_mut().min();
        let Some(free) = free else { return now };
        *free = (*free).max(now) + nanos(cost);
        *free
    }

    /// Commits a transaction that notifies, and returns when it has committed.
    pub fn commit(&mut self, now: Time, must_reach_disk: bool) -> Time {
        let held = self.costs.lock + if must_reach_disk { self.costs.disk } else { Duration::ZERO };
        self.locked += held;
        self.transactions += 1;
        self.lock_is_free = self.lock_is_free.max(now) + nanos(held);
        self.lock_is_free
    }

    /// Adds the notifications of a commit to the queue. Returns whether a turn has to begin.
    pub fn notify(&mut self, entries: impl IntoIterator<Item = Entry>) -> bool {
        let before = self.unread.len();
        self.unread.extend(entries);
        self.notifications += (self.unread.len() - before) as u64;
        !std::mem::replace(&mut self.has_turn, true)
    }

    /// The connections read the queue.
    pub fn begin_turn(&mut self, now: Time, listeners: usize) -> Turn {
        let entries = std::mem::take(&mut self.unread);
        let to_all =
            entries.iter().any(|entry| matches!(entry, Entry::End { .. } | Entry::Mention | Entry::Gathered { .. }));
        let (woken, read) = match self.costs.wakes_only_interested && !to_all {
            true => (entries.len().min(listeners), 1),
            false => (listeners, entries.len()),
        };
        self.wakes += woken as u64;
        let each = self.costs.wake + self.costs.read * u32::try_from(read.saturating_sub(1)).unwrap_or(u32::MAX);
        let (began, ended) = self.share_out(now, each * u32::try_from(woken).unwrap_or(u32::MAX));
        Turn { entries, began, ended }
    }

    /// Whether the next turn has to begin.
    pub fn end_turn(&mut self) -> bool {
        self.has_turn = !self.unread.is_empty();
        self.has_turn
    }

    /// Nothing runs or commits until then.
    pub fn stall(&mut self, until: Time) {
        self.free.iter_mut().for_each(|free| *free = (*free).max(until));
        self.lock_is_free = self.lock_is_free.max(until);
    }

    /// Uses all cores, and returns the beginning and the end.
    fn share_out(&mut self, now: Time, cost: Duration) -> (Time, Time) {
        self.busy += cost;
        let share = nanos(cost) / self.free.len().max(1) as u64;
        let began = self.free.iter().min().copied().unwrap_or(now).max(now);
        for free in &mut self.free {
            *free = (*free).max(now) + share;
        }
        (began, self.free.iter().max().copied().unwrap_or(began))
    }
}

pub fn nanos(duration: Duration) -> Time {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
