//! A model of the protocol that keeps the nodes' memories coherent, explored completely for small numbers of nodes. The
//! real [`Lease`](sessile::base::coherence::Lease), [`Announcements`](sessile::base::coherence::Announcements) and
//! [`Confirmations`](sessile::base::coherence::Confirmations) decide in it.
//!
//! One session lives, and its end is committed once. Every step is taken at any time after it became possible, or
//! never: a node that is slow, frozen, killed or cut off takes no step. Time passes in ticks between any two steps.
//!
//! - A commit puts its message into the queue of each node that listens to that server. A node whose connection was cut
//!   gets nothing, whether or not it has noticed.
//! - Whoever commits the end reads the rows, waits and acknowledges. It may be one of the nodes that cache.
//! - A row is doubted at any time, whether or not its node is alive, and removed at any time after it has been doubted for
//!   `DOUBT`.
//! - On a file, the commit puts no message into any queue. Each message is sent at any time later, or never. The beats
//!   read the number of announcements.
//! - A failover carries the rows and the end to a second server, which alone commits from then on. Each node's request
//!   pool moves there at any time later. Its listening connection stays until the node notices.
//! - A request is answered from memory in two steps: it asks whether it may, and then takes the entry.
//!
//! The property: no request that begins after the acknowledgement is answered from memory. A [`Fault`] breaks one rule,
//! and then the model must find such a request.

mod cases;
mod node;
mod protocol;
mod state;

use std::time::Duration;

/// What is explored.
#[derive(Debug, Clone)]
pub struct Protocol {
    pub tick: Duration,
    /// The number of nodes that cache.
    pub nodes: usize,
    /// Whether the first node commits the end. Otherwise a process that does not cache commits it.
    pub first_commits: bool,
    pub fails_over: bool,
    /// Whether the database is an SQLite file, and announcements go through sockets.
    pub on_file: bool,
    pub removes_rows: bool,
    /// Whether it is noted for good that a node's row was removed, to see that the node comes back.
    pub notes_removals: bool,
    pub nodes_stop: bool,
    /// Whether a query's result is kept some time after the query. Otherwise it is kept at once.
    pub keeps_late: bool,
    /// Maximum number of messages in a node's queue.
    pub most_arriving: usize,
    pub fault: Option<Fault>,
}

/// A database server. The second takes over in a failover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Server {
    First,
    Second,
}

/// A broken rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The committing node waits for less time than a lease lasts.
    WaitsTooShort,
    /// A lease counts from hearing its beat, not from sending it.
    CountsFromHearing,
    /// A gap does not empty the cache.
    KeepsCacheAfterGap,
    /// A query's result is kept although a change was heard since the query.
    KeepsOutdatedRead,
    /// The committing node reads the rows before its commit.
    ReadsRowsBeforeCommit,
    /// The committing node acknowledges before it has dropped its own entry.
    KeepsOwnEntry,
    /// A node reports an end that its query found, and keeps its own entry.
    ReportsAndKeeps,
    /// A node confirms before it has dropped its entry.
    ConfirmsBeforeDropping,
    /// A node sends beats without having a row.
    BeatsWithoutRow,
    /// A row is removed without having been doubted, as when the time of its last beat decides and the database's clock
    /// jumps forward.
    RemovesLivingNode,
    /// A row is removed as soon as it is doubted.
    RemovesAtOnce,
    /// A node sends beats while its row is doubted.
    BeatsWhenDoubted,
    /// On a file, beats do not read the number of announcements.
    IgnoresNumbers,
    /// The message about the end is not part of the commit: it is sent later, or never.
    TellsAfterCommit,
}
