//! One open stream's letter box. What comes in is folded into what already waits, so that a reader who is slow never
//! makes it grow.
//!
//! Invariant: an end that was put in is never folded away.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::records::session::ended::Ended;

/// What waits for a subscriber.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notices {
    /// Its session has ended.
    pub ended: Option<Ended>,
    /// Its session has another key now, which its browser has or will have in a moment.
    pub rotated: bool,
    /// Its account's sessions, devices or trail changed.
    pub sessions: bool,
    /// Its account's drafts changed.
    pub drafts: bool,
    /// Something may have been missed: the session is to be looked up.
    pub look: bool,
    /// The stream is to close: the node stops, or there are too many.
    pub close: bool,
}

impl Notices {
    /// Folds what came later into this.
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
    pub(super) fn put(&self, news: Notices) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).fold(news);
        self.arrived.notify_one();
    }

    pub(super) fn take(&self) -> Option<Notices> {
        let taken = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        (taken != Notices::default()).then_some(taken)
    }
}
