//! Logs a digest of the audit trail every hour and at shutdown. A later comparison with the log shows removed or
//! changed events. Called by [`run`](crate::serve::run).
//!
//! Invariant: no line is logged if no event was recorded since the last line.

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

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(3600);
/// How long shutdown waits for the last line.
const LAST_LINE: Duration = Duration::from_secs(5);
/// Time between two attempts while another node writes a line.
const RETRY: Duration = Duration::from_millis(200);

/// Logs digests of the audit trail.
pub struct Anchors {
    db: Db,
    keys: AuditKeys,
    /// Number of links in the audit trail when the last line was written.
    seen: AtomicI64,
}

impl Anchors {
    pub fn new(db: Db, keys: AuditKeys) -> Self {
        Self { db, keys, seen: AtomicI64::new(0) }
    }

    /// Writes a line every hour. Never returns.
    pub async fn now_and_then(&self) {
        loop {
            rt::time::sleep(EVERY).await;
            if let Err(error) = self.write().await {
                tracing::warn!(%error, "anchoring the audit trail failed");
            }
        }
    }

    /// Writes the last line. Gives up after `LAST_LINE`.
    pub async fn last(&self) {
        match rt::time::timeout(LAST_LINE, self.write()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "anchoring the audit trail at shutdown failed"),
            Err(_) => tracing::warn!("anchoring the audit trail at shutdown timed out"),
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
