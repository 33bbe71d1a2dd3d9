//! The way of an end: its statements, its commit, the wait for the other nodes, and its acknowledgement.

use std::time::Duration;

use sessile::base::coherence::{Confirmations, DOUBT, Moment, PATIENCE};

use super::{
    super::{
        node::Row,
        server::{Entry, Time, nanos},
    },
    Event, World,
};

/// An announced change on its way to its acknowledgement.
pub struct End {
    pub node: usize,
    began: Time,
    pub confirmations: Confirmations,
    /// By the node's clock.
    committed: Moment,
    rows: Vec<(usize, Option<u64>)>,
    rows_read: Moment,
    is_settled: bool,
    is_acknowledged: bool,
}

impl World {
    /// What happens on the way of an end.
    pub(super) fn take_end(&mut self, event: Event) {
        let costs = &self.setting.costs;
        match event {
            Event::EndDue => self.begin_end(),
            Event::EndArrives(end) => {
                let done = self.server.work(self.now, costs.end);
                self.schedule(done, Event::EndRuns(end));
            }
            Event::EndRuns(end) => {
                let committed = self.server.commit(self.now, true);
                self.schedule(committed, Event::EndCommitted(end));
            }
            Event::EndCommitted(end) => {
                for node in self.nodes.iter_mut().filter(|node| !node.is_dead) {
                    node.remembers.insert(end);
                }
                self.send(self.ends[end].node, self.now, Event::EndAnswered(end));
                self.take(Event::Committed(vec![Entry::End { end }]));
            }
            Event::EndAnswered(end) => {
                let node = self.ends[end].node;
                self.nodes[node].remembers.remove(&end);
                self.nodes[node].mentions = true;
                self.ends[end].committed = self.nodes[node].moment(self.now);
                self.send(node, self.now, Event::RowsArrive(end));
            }
            Event::RowsArrive(end) => {
                let committer = self.ends[end].node;
                let rows = self.nodes.iter().enumerate().filter(|(at, _)| *at != committer);
                let rows: Vec<_> = rows.filter_map(|(at, node)| Some((at, node.row?.doubt))).collect();
                let cost = costs.row * u32::try_from(rows.len()).unwrap_or(u32::MAX);
                let done = self.server.work(self.now, cost);
                self.send(committer, done, Event::RowsAnswered(end, rows));
            }
            Event::RowsAnswered(end, rows) => self.wait(end, rows),
            Event::PatienceOver(end) => self.settle(end),
            Event::RemovalArrives(end, silent, waited) => {
                let done = self.server.work(self.now, costs.beat);
                self.remove_silent(&silent, waited);
                self.send(self.ends[end].node, done, Event::Acknowledged(end));
            }
            Event::Acknowledged(end) => self.acknowledge(end),
            other => unreachable!("{other:?}"),
        }
    }

    fn begin_end(&mut self) {
        self.schedule_next(self.setting.ends, Event::EndDue);
        let node = self.random.below(self.nodes.len());
        if self.nodes[node].is_dead || self.nodes[node].frozen_until > self.now {
            return;
        }
        let (committed, began) = (Moment::default(), self.now);
        self.ends.push(End {
            node,
            began,
            confirmations: Confirmations::default(),
            committed,
            rows: Vec::new(),
            rows_read: committed,
            is_settled: false,
            is_acknowledged: false,
        });
        self.figures.ends += 1;
        self.send(node, began, Event::EndArrives(self.ends.len() - 1));
    }

    fn wait(&mut self, end: usize, rows: Vec<(usize, Option<u64>)>) {
        let change = &mut self.ends[end];
        let needed = rows.iter().map(|(at, _)| self.nodes[*at].name.clone()).collect();
        (change.rows, change.rows_read) = (rows, self.nodes[change.node].moment(self.now));
        change.confirmations.need(change.committed, needed);
        if self.setting.is_hasty {
            return self.acknowledge(end);
        }
        let rest = PATIENCE.saturating_sub(change.rows_read.since(change.committed));
        self.schedule(self.now + nanos(rest), Event::PatienceOver(end));
        self.settle(end);
    }

    /// Acknowledges the end if the wait is over. Nodes that have not confirmed are dealt with first.
    pub(super) fn settle(&mut self, end: usize) {
        let change = &mut self.ends[end];
        let now = self.nodes[change.node].moment(self.now);
        if change.is_settled || !change.confirmations.is_over(now) {
            return;
        }
        change.is_settled = true;
        let missing = change.confirmations.missing();
        if missing.is_empty() {
            return self.acknowledge(end);
        }
        let silent = change.rows.iter().filter(|(at, _)| missing.contains(&self.nodes[*at].name)).copied().collect();
        let (node, waited) = (change.node, now.since(change.rows_read));
        self.figures.by_patience += 1;
        self.send(node, self.now, Event::RemovalArrives(end, silent, waited));
    }

    fn remove_silent(&mut self, silent: &[(usize, Option<u64>)], waited: Duration) {
        let word = (self.random.share() * 1e15) as u64;
        for (at, doubt) in silent {
            let row = &mut self.nodes[*at].row;
            match doubt {
                Some(_) if waited >= DOUBT && row.is_some_and(|row| row.doubt == *doubt) => *row = None,
                Some(_) => {}
                None => {
                    if *row == Some(Row { doubt: None }) {
                        *row = Some(Row { doubt: Some(word) });
                    }
                }
            }
        }
    }

    /// From here on no node may answer from memory with the session.
    fn acknowledge(&mut self, end: usize) {
        let change = &mut self.ends[end];
        change.is_acknowledged = true;
        self.figures.acknowledged.push(Duration::from_nanos(self.now - change.began));
        for node in 0..self.nodes.len() {
            if self.nodes[node].remembers.contains(&end) {
                self.check(node);
            }
        }
    }

    /// Counts a node with a lease that still holds a session whose end was acknowledged. A frozen node may continue now.
    pub(super) fn check(&mut self, node: usize) {
        let holds = self.nodes[node].remembers.iter().any(|end| self.ends[*end].is_acknowledged);
        if holds && !self.nodes[node].is_dead && self.nodes[node].has_lease(self.now) {
            self.figures.stale += 1;
        }
    }
}
