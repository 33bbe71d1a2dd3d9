//! A subscription to notices for one session and its account. Held by the `events` page.

use std::sync::Arc;

use super::{
    mailbox::{Mailbox, Notices},
    streams::Streams,
};

/// Unsubscribes when dropped.
pub struct Subscription {
    pub(super) streams: Streams,
    pub(super) number: u64,
    pub(super) mailbox: Arc<Mailbox>,
}

impl Subscription {
    /// Waits for notices. Cancel safe: no notice is lost if the future is dropped.
    pub async fn next(&self) -> Notices {
        loop {
            if let Some(notices) = self.mailbox.take() {
                return notices;
            }
            self.mailbox.arrived.notified().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.streams.lock().all.remove(&self.number);
    }
}
