//! The sources of hashing jobs. Used by the [`hasher`](super) and its callers.
//!
//! Invariant: sources that compare as equal share one part of the queue.

use crate::records::throttle::Subject;

/// The origin of a hashing job. Each source has a share of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A browser with its own count of wrong passwords, or else a client's network.
    Client(Subject),
    /// A command on this machine.
    Command,
}
