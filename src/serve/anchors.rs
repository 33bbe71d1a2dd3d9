//! The server's part in anchoring the audit trail: a line in the log each hour in which something happened, and at
//! shutdown. Called by [`serve`](crate::serve::run).

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use actix_web::rt;

use crate::{
    base::{
        db::{Conn, Db},
        error::Result,
        keys::AuditKeys,
    },
    records::audit::anchor,
};

/// How often a line is written.
const EVERY: Duration = Duration::from_secs(3600);
/// How long the shutdown waits for the last line.
const LAST_LINE: Duration = Duration::from_secs(5);
/// How long it waits while another node writes one.
const RETRY: Duration = Duration::from_millis(200);

/// Anchors the trail in the log of this node.
pub struct Anchors {
    db: Db,
    keys: AuditKeys,
    /// How many links there were when the last line was written.
    seen: AtomicI64,
}

impl Anchors {
    /// With the keys that seal the trail.
    pub fn new(db: Db, keys: AuditKeys) -> Self {
        Self { db, keys, seen: AtomicI64::new(0) }
    }

    /// Writes lines until this is dropped.
    pub async fn now_and_then(&self) {
        loop {
            rt::time::sleep(EVERY).await;
            if let Err(error) = self.write().await {
                tracing::warn!(%error, "the audit trail could not be anchored");
            }
        }
    }

    /// Writes the last line, as far as the database answers in time.
    pub async fn last(&self) {
        match rt::time::timeout(LAST_LINE, self.write()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the audit trail could not be anchored at shutdown"),
            Err(_) => tracing::warn!("the audit trail could not be anchored at shutdown in time"),
        }
    }

    async fn write(&self) -> Result<()> {
        let links = async |conn: &mut Conn<'_>| anchor::all_links(conn).await;
        let links = self.db.read(links).await?;
        if links == self.seen.load(Ordering::Relaxed) {
            return Ok(());
        }
        loop {
            if let Some(anchor) = anchor::make(&self.db, &self.keys).await? {
                self.seen.store(links, Ordering::Relaxed);
                tracing::info!(%anchor, "digest of the audit trail");
                return Ok(());
            }
            rt::time::sleep(RETRY).await;
        }
    }
}
