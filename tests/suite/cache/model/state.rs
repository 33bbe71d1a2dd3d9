//! A state of the model.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use sessile::base::coherence::{Confirmations, DOUBT, PATIENCE};

use super::{
    Fault, Protocol, Server,
    node::{Message, Node, Row, before, now},
};

/// What [`Fault::WaitsTooShort`] takes off the wait.
const TOO_SHORT: Duration = Duration::from_millis(300);
/// Stands for the nodes whose rows could not be read. It never confirms.
const ANYBODY: &str = "anybody";

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The server that commits.
    pub active: Server,
    /// The server that committed the end. A failover carries the end to the second.
    pub ended: Option<Server>,
    pub end: End,
    pub nodes: Vec<Node>,
}

/// What the process that ends the session has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    NotBegun,
    /// With [`Fault::ReadsRowsBeforeCommit`]: the rows were read, and the end is not committed yet.
    RowsRead,
    /// `age`: the number of ticks since the commit. `dropped`: the process has dropped its own entry.
    Committed {
        age: u8,
        dropped: bool,
    },
    /// `unsure`: the rows could not be read.
    Waiting {
        age: u8,
        unsure: bool,
    },
    Acknowledged,
}

impl State {
    /// Whether a query on this server finds the session alive.
    pub fn lives_on(&self, server: Server) -> bool {
        match self.ended {
            None => true,
            Some(Server::First) => false,
            Some(Server::Second) => server == Server::First,
        }
    }

    /// What the committing process knows of the other nodes.
    pub fn confirmations(&self, of: &Protocol) -> Confirmations {
        let mut confirmations = Confirmations::default();
        let name = |(at, _): (usize, &Node)| at.to_string();
        let confirmed = self.nodes.iter().enumerate().filter(|(_, node)| node.confirmed);
        confirmed.for_each(|node| confirmations.confirm(&name(node)));
        if let End::Waiting { age, unsure } = self.end {
            let needed = self.nodes.iter().enumerate().filter(|(_, node)| node.needed).map(name);
            let needed: BTreeSet<String> = needed.chain(unsure.then(|| ANYBODY.to_owned())).collect();
            let too_short = if of.has(Fault::WaitsTooShort) { TOO_SHORT } else { Duration::ZERO };
            confirmations.need(before(now(), of.tick * u32::from(age) + too_short), needed);
        }
        confirmations
    }

    /// Whether the end may be acknowledged after waiting for other nodes, and whether one of them has not confirmed.
    pub fn is_over(&self, of: &Protocol) -> Option<bool> {
        let has_waited = matches!(self.end, End::Waiting { .. }) && self.nodes.iter().any(|node| node.needed);
        let confirmations = self.confirmations(of);
        (has_waited && confirmations.is_over(now())).then(|| !confirmations.missing().is_empty())
    }

    /// Whether a node can never hold the session again.
    fn is_done(&self, node: &Node) -> bool {
        !node.remembers() && (node.closed || !self.lives_on(node.pool))
    }

    /// Whether nothing can go wrong any more.
    pub fn is_final(&self) -> bool {
        self.end == End::Acknowledged && self.nodes.iter().all(|node| self.is_done(node))
    }

    pub fn let_time_pass(&mut self, of: &Protocol) {
        for node in &mut self.nodes {
            node.settle(of.tick);
            if let Some(Row { doubted: Some(age) }) = &mut node.row {
                *age = (*age + 1).min(of.ticks(DOUBT));
            }
        }
        if let End::Committed { age, .. } | End::Waiting { age, .. } = &mut self.end {
            *age = (*age + 1).min(of.ticks(PATIENCE));
        }
    }

    /// Leaves out what makes no difference any more, and sorts nodes that differ in nothing but their names.
    pub fn settle(&mut self, of: &Protocol) {
        for at in 0..self.nodes.len() {
            let is_done = self.is_done(&self.nodes[at]);
            let node = &mut self.nodes[at];
            match self.end {
                End::Acknowledged if is_done => *node = only_confirms(node, false),
                End::Acknowledged => {
                    node.asked |= node.lease.allows(now());
                    (node.confirms, node.confirmed, node.needed) = (false, false, false);
                }
                End::Waiting { .. } if is_done => *node = only_confirms(node, node.needed),
                _ => {}
            }
        }
        let same = usize::from(of.first_commits).min(self.nodes.len());
        self.nodes[same..].sort_by_cached_key(|node| {
            let mut hasher = DefaultHasher::new();
            node.hash(&mut hasher);
            hasher.finish()
        });
    }
}

/// What still matters of a node that can never hold the session again: at most, whether it confirms.
fn only_confirms(node: &Node, needed: bool) -> Node {
    let (confirmed, closed) = (needed && node.confirmed, !needed || node.confirmed);
    let bare = Node { joins: false, pool: Server::Second, needed, confirmed, closed, ..Node::new() };
    if closed {
        return bare;
    }
    let arriving = node.arriving.iter().filter(|message| !matches!(message, Message::Beat(_))).cloned().collect();
    Node { listening: node.listening, arriving, confirms: node.confirms, untold: node.untold, ..bare }
}
