//! The mailbox of one open stream. New notices are merged with the waiting notices, so that a mailbox does not grow if
//! its reader is slow.
//!
//! Invariant: the notice that a session has ended is never lost in a merge.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::records::session::ended::Ended;

/// The notices that wait for a subscriber.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notices {
    /// The subscriber's session has ended.
    pub ended: Option<Ended>,
    /// The session has a new key, which its browser has or is about to receive.
    pub rotated: bool,
    /// The account's sessions, devices or activity changed.
    pub sessions: bool,
    /// The account's drafts changed.
    pub drafts: bool,
    /// Notices may have been missed: look up the session.
    pub look: bool,
    /// Close the stream: the node is stopping, or too many streams are open.
    pub close: bool,
}

impl Notices {
    /// Merges later notices into these.
    pub fn fold(&mut self, later: Self) {
        self.ended = self.ended.or(later.ended);
        self.rotated |= later.rotated;
        self.sessions |= later.sessions;
        self.drafts |= later.drafts;
        self.look |= later.look;
        self.close |= later.close;
    }
}

#[derive(Debug, Default)]
pub(super) struct Mailbox {
    waiting: Mutex<Notices>,
    pub(super) arrived: Notify,
}

impl Mailbox {
    pub(super) fn put(&self, notices: Notices) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).fold(notices);
        self.arrived.notify_one();
    }

    pub(super) fn take(&self) -> Option<Notices> {
        let taken = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        (taken != Notices::default()).then_some(taken)
    }
}
