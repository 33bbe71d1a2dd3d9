//! Who shares the queue.

use crate::records::throttle::Subject;

/// For whom a password is hashed: each source has a share of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A client: a browser that has its own count of wrong passwords, else its network.
    Client(Subject),
    /// A command.
    Command,
}
