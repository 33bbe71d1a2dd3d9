//! Keeps a node's memory coherent with the database. It answers one question, "may this node answer from memory now?",
//! and holds up the acknowledgement of a change until no node can answer from memory with what was there before.
//!
//! - **Beats.** Several times a second a node sends itself a numbered beat through the request pool, and hears it where
//!   it hears the other nodes' announcements. Announcements arrive in commit order. So a beat that arrives proves that
//!   every change that was committed before the beat was sent has arrived too.
//! - **Lease.** A node may answer from memory until [`LEASE`] after it sent the last beat that it heard.
//! - **Acknowledgement.** A node that caches has a row in `nodes` before it caches anything. After a commit that
//!   announces a change, the committing node waits until each other node in `nodes` has confirmed, or [`PATIENCE`] has
//!   passed. `PATIENCE` is longer than `LEASE`, so a node that has not confirmed has no lease left from before.
//! - **Numbers.** On an SQLite file, announcements go through sockets and may be lost. [`Announcements`] has the rule by
//!   which a node that missed one notices.
//! - **Removal of rows.** Whoever waited in vain for a node *doubts* its row: it writes a random word into it. A node whose
//!   row is doubted sends no beat, empties its cache and adds its row again, which removes the word. Whoever finds the
//!   same word, and waits in vain for [`DOUBT`] or longer, removes the row if the word is still there. Then the node has
//!   sent no beat since the word was written, so it has no lease, and it finds its row gone before it sends another beat.
//!   No clock of the database matters for this, and neither does whether the node is dead or slow.
//! - **Start of listening.** Whenever a node starts to listen, it adds its row anew before a beat gives it a lease. On a
//!   file, a refused connection proves that a node does not listen, so the row that was read before is removed at once.
//!
//! [`Lease`], [`Announcements`] and [`Confirmations`] are the whole protocol, without I/O. A model in the tests explores
//! their states. The [`Coherence`] handle is their shared state in a running node. [`db`](super::db) sends and receives
//! the messages.
//!
//! Invariant: whoever reads the cache asks [`Coherence::may_answer`] first, on every use.

mod announcements;
mod confirmations;
mod lease;
mod moment;
mod node;

pub use self::{
    announcements::Announcements,
    confirmations::{Confirmations, DOUBT, PATIENCE},
    lease::{BEAT_INTERVAL, LEASE, Lease, Renewal},
    moment::Moment,
    node::{Change, Coherence, Tag, Wait},
};
