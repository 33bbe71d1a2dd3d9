//! The beats of this node, which keep its lease, and the wait for other nodes. Called by the hub, at the shutdown and by
//! whoever reports an end. See [`coherence`](crate::base::coherence).
//!
//! Invariant: a node whose row is gone or doubted, or that starts to listen, begins with an empty cache and a new row.

use super::{
    conn::Conn,
    database::Db,
    message::FENCE,
    nodes::{self, Beaten},
    notify::announce,
};
use crate::base::{clock::Clock, coherence::BEAT_INTERVAL, error::Result, outage::Outage};

impl Db {
    /// Keeps this node's lease: sends beats, and adds the node's row if it is missing. Never returns. Does nothing if
    /// this node does not cache. Compares `clock` with the database's clock at every beat.
    pub async fn keep_lease(&self, clock: &Clock) {
        if !self.coherence().caches() {
            return std::future::pending().await;
        }
        let mut outage = Outage::new("keeping the lease of the session cache");
        while !self.coherence().is_closed() {
            if let Some(Some(beaten)) = outage.see(self.beat().await) {
                self.coherence().set_has_others(beaten.others > 0);
                clock.compare(beaten.at);
            }
            tokio::time::sleep(BEAT_INTERVAL).await;
        }
        std::future::pending().await
    }

    /// Sends one beat. `None` if the node's row was missing or doubted; it is there now.
    async fn beat(&self) -> Result<Option<Beaten>> {
        if let Some(start) = self.coherence().must_join() {
            self.join().await?;
            self.coherence().note_joined(start);
        }
        let beaten = self.send_beat().await?;
        if beaten.is_none() {
            self.coherence().lose();
            self.join().await?;
        }
        Ok(beaten)
    }

    async fn join(&self) -> Result<()> {
        let node = self.coherence().name().to_owned();
        self.write(async move |conn: &mut Conn<'_>| nodes::join(conn, &node).await).await
    }

    /// Stops answering from memory and removes this node's row, so that no other node waits for it.
    pub async fn leave(&self) {
        self.coherence().close();
        if !self.coherence().caches() {
            return;
        }
        let node = self.coherence().name().to_owned();
        if let Err(error) = self.statement(async move |conn: &mut Conn<'_>| nodes::leave(conn, &node).await).await {
            tracing::debug!(%error, "removing the row of this node failed");
        }
    }

    /// Makes sure that every node has heard what was committed before this call. Whoever reports a recent end that
    /// another request committed calls this first: that request may still be waiting for the other nodes.
    pub async fn wait_for_other_nodes(&self) -> Result<()> {
        let node = self.coherence().name().to_owned();
        let fence = async {
            if self.read(async move |conn: &mut Conn<'_>| nodes::has_others(conn, &node).await).await? {
                self.write(async |conn: &mut Conn<'_>| announce(conn, FENCE).await).await?;
            }
            Ok(())
        };
        self.coherence().fence(fence).await
    }
}
