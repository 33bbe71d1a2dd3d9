//! A subscription to the news of one session and its account, as the page of events holds it.

use std::sync::Arc;

use super::{
    mailbox::{Mailbox, Notices},
    streams::Streams,
};

/// Dropping it ends it.
pub struct Subscription {
    pub(super) streams: Streams,
    pub(super) number: u64,
    pub(super) mailbox: Arc<Mailbox>,
}

impl Subscription {
    /// Waits for news. Dropped while it waits, it loses nothing.
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
