//! What a committing node waits for before it acknowledges a change, without I/O.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{lease::LEASE, moment::Moment};

/// How long after the commit a change is acknowledged at the latest, even if a node has not confirmed. Longer than a
/// lease: a node that has not heard of the change has heard no beat that was sent after the commit.
pub const PATIENCE: Duration = Duration::from_millis(500);
const _: () = assert!(PATIENCE.as_millis() >= LEASE.as_millis() + 50);
/// How long a row must have been doubted until it may be removed. Longer than a lease: the node sends no beat while its
/// row is doubted.
pub const DOUBT: Duration = Duration::from_millis(475);
const _: () = assert!(DOUBT.as_millis() > LEASE.as_millis() && DOUBT.as_millis() < PATIENCE.as_millis());

/// The confirmations of one change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Confirmations {
    /// Nodes may confirm before the committing node knows whom it has to wait for.
    early: BTreeSet<String>,
    /// When the change was committed, and the nodes that have not confirmed. With many nodes this is changed once for
    /// each of them, so it must not be built anew each time.
    missing: Option<(Moment, BTreeSet<String>)>,
}

impl Confirmations {
    /// A node confirms that it does not answer with what was there before the change.
    pub fn confirm(&mut self, node: &str) {
        match &mut self.missing {
            Some((_, missing)) => _ = missing.remove(node),
            None => _ = self.early.insert(node.to_owned()),
        }
    }

    /// The change was committed before `committed`. The nodes in `nodes` are the other nodes that had a row after the
    /// commit.
    pub fn need(&mut self, committed: Moment, mut nodes: BTreeSet<String>) {
        for node in std::mem::take(&mut self.early) {
            nodes.remove(&node);
        }
        self.missing = Some((committed, nodes));
    }

    /// The nodes that have not confirmed.
    pub fn missing(&self) -> BTreeSet<String> {
        self.missing.as_ref().map(|(_, nodes)| nodes.clone()).unwrap_or_default()
    }

    /// Whether the change may be acknowledged.
    pub fn is_over(&self, now: Moment) -> bool {
        self.missing.as_ref().is_some_and(|(committed, nodes)| nodes.is_empty() || now.since(*committed) >= PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    fn nodes(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_change_waits_for_every_other_node() {
        let mut change = Confirmations::default();
        assert!(!change.is_over(at(9999)), "it is not committed yet");
        change.confirm("b");
        change.need(at(100), nodes(&["b", "c"]));
        assert!(!change.is_over(at(101)));
        assert_eq!(change.missing(), nodes(&["c"]));
        change.confirm("x");
        assert!(!change.is_over(at(102)), "a stranger's confirmation does not count");
        change.confirm("c");
        assert!(change.is_over(at(103)));
    }

    #[test]
    fn a_change_waits_no_longer_than_its_patience() {
        let mut change = Confirmations::default();
        change.need(at(100), nodes(&["b"]));
        assert!(!change.is_over(at(599)) && change.is_over(at(600)));
    }

    #[test]
    fn a_lone_node_waits_for_nothing() {
        let mut change = Confirmations::default();
        change.need(at(100), nodes(&[]));
        assert!(change.is_over(at(100)));
    }
}
