//! A model of the protocol that keeps the nodes' memories coherent, explored completely for small numbers of nodes. The
//! decisions are made by the real [`Lease`] and [`Confirmations`](sessile::base::coherence::Confirmations).
//!
//! One session lives; its end is committed once. Nodes that cache send beats, hear them on their listening connection,
//! query the session and keep it. Every step is taken at any time after it became possible, or never. So a node that
//! is slow, frozen, killed or cut off is a node that takes no step. Time passes in ticks at any point between steps.
//!
//! - A commit puts its message into the queue of each node that listens to the server at that moment. A node that is
//!   not listening, or whose connection was cut without its notice, gets nothing.
//! - Whoever commits the end then reads the rows, waits as [`Confirmations`](sessile::base::coherence::Confirmations)
//!   says, and acknowledges. It may be one of the caching nodes.
//! - A row whose last beat is older than `DEAD_AFTER` may be removed. The real time is 10 s. Here it is 600 ms, which
//!   allows everything that a longer time allows and more.
//! - A failover carries the rows and a committed end to a second server, which commits from then on. Each node's request
//!   pool moves there at any time later. Its listening connection stays until the node notices.
//! - A read from memory is two steps: it asks whether it may, and then takes the entry.
//!
//! The property: no read that begins after the acknowledgement is answered from memory. Each [`Fault`] breaks one rule,
//! and the model must find out.

mod cases;
mod node;
mod protocol;

/// A database server. The second takes over after a failover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Server {
    First,
    Second,
}

/// A broken rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The committing node waits shorter than a lease lasts.
    WaitsTooShort,
    /// A lease counts from hearing the beat instead of sending it.
    CountsFromHearing,
    /// A gap does not empty the cache.
    KeepsCacheAfterGap,
    /// A query's result is kept although a change was heard since the query.
    KeepsOutdatedRead,
    /// The committing node reads the rows before its commit.
    ReadsRowsBeforeCommit,
    /// The committing node acknowledges before it drops the session from its own memory.
    KeepsOwnEntry,
    /// A node confirms before it drops the session.
    ConfirmsBeforeDropping,
    /// A node beats without a row.
    BeatsWithoutRow,
    /// The row of a node that beats is removed, as when the database's clock is set forward.
    RemovesLivingNode,
    /// The message of the end is not part of its commit: it is sent later, or never.
    TellsAfterCommit,
}
