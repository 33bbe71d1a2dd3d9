//! Which server was promoted last. Each promotion begins a later timeline (PostgreSQL 15, section 26.3.5). Called by the
//! connect plan and the pool.
//!
//! Invariant: once a connection has led to a later timeline, no connection to an earlier timeline is used. The server
//! there has been replaced, and may not know which sessions have ended.

use tokio::sync::watch;
use tokio_postgres::{Client, SimpleQueryMessage};

/// The timeline of a server. Servers with different system identifiers do not replicate each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Timeline {
    system: String,
    number: u32,
}

impl Timeline {
    /// The timeline of a primary. `None` if the server does not say: some that are compatible with PostgreSQL lack these
    /// functions.
    pub(super) async fn of(client: &Client) -> Option<Self> {
        let ask = "SELECT system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8) FROM pg_control_system()";
        let answer = client.simple_query(ask).await.ok()?;
        answer.iter().find_map(|message| {
            let SimpleQueryMessage::Row(row) = message else { return None };
            let number = u32::from_str_radix(row.get(1)?, 16).ok()?;
            Some(Self { system: row.get(0)?.to_owned(), number })
        })
    }

    fn is_earlier_than(&self, latest: &Self) -> bool {
        self.system == latest.system && self.number < latest.number
    }
}

/// The latest timeline that a connection of this process has led to. Clones share it.
#[derive(Debug, Clone)]
pub struct LatestTimeline(watch::Sender<Option<Timeline>>);

impl Default for LatestTimeline {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl LatestTimeline {
    /// Notes the timeline of a new connection. Returns whether the connection may be used.
    pub(super) fn admit(&self, timeline: &Timeline) -> bool {
        let mut is_current = true;
        self.0.send_if_modified(|latest| {
            is_current = !latest.as_ref().is_some_and(|latest| timeline.is_earlier_than(latest));
            let is_news = is_current && latest.as_ref() != Some(timeline);
            if is_news {
                *latest = Some(timeline.clone());
            }
            is_news
        });
        is_current
    }

    /// Whether a connection has led to a later timeline meanwhile.
    pub(super) fn is_past(&self, timeline: &Timeline) -> bool {
        self.0.borrow().as_ref().is_some_and(|latest| timeline.is_earlier_than(latest))
    }

    /// Waits until [`is_past`](Self::is_past).
    pub(super) async fn passes(&self, timeline: &Timeline) {
        let mut latest = self.0.subscribe();
        let is_past =
            |latest: &Option<Timeline>| latest.as_ref().is_some_and(|latest| timeline.is_earlier_than(latest));
        // The sender is alive as long as `self`.
        if latest.wait_for(is_past).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(system: &str, number: u32) -> Timeline {
        Timeline { system: system.to_owned(), number }
    }

    #[test]
    fn a_server_that_was_replaced_is_not_used_again() {
        let latest = LatestTimeline::default();
        let (first, second) = (timeline("a", 9), timeline("a", 10));
        assert!(latest.admit(&first) && !latest.is_past(&first));
        assert!(latest.clone().admit(&second));
        assert!(latest.is_past(&first) && !latest.is_past(&second));
        assert!(!latest.admit(&first) && latest.admit(&second));
    }

    /// As after a dump was restored into a new server.
    #[test]
    fn another_system_begins_anew() {
        let latest = LatestTimeline::default();
        assert!(latest.admit(&timeline("a", 9)) && latest.admit(&timeline("b", 1)));
        assert!(latest.admit(&timeline("a", 8)));
    }
}
