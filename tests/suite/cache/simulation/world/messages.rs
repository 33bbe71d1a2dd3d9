//! Beats, confirmations, and the queue that carries them and the announcements to the nodes.

use std::collections::BTreeMap;

use super::{
    super::{
        node::Node,
        server::{Entry, Time},
    },
    Event, NETWORK, World,
};

/// How many beats or confirmations fit into one notification.
const MOST_GATHERED: usize = 300;

impl World {
    pub(super) fn begin_beat(&mut self, node: usize) {
        let start = self.nodes[node].listens.unwrap_or_default();
        if self.nodes[node].must_join {
            return self.send(node, self.now, Event::JoinArrives(node, start));
        }
        let number = self.nodes[node].send_beat(self.now);
        self.figures.beats += 1;
        self.send(node, self.now, Event::BeatArrives(node, number));
    }

    pub(super) fn run_beat(&mut self, node: usize, number: u64) {
        if self.nodes[node].row.is_none_or(|row| row.doubt.is_some()) {
            return self.send(node, self.now, Event::BeatAnswered(node, false));
        }
        let committed = self.commit(self.now, vec![Entry::Beat { node, number }]);
        self.send(node, committed, Event::BeatAnswered(node, true));
    }

    /// Commits a beat or confirmations. Returns when they are committed.
    fn commit(&mut self, now: Time, entries: Vec<Entry>) -> Time {
        if self.setting.gathers.is_some() {
            self.gathered.extend(entries);
            return now;
        }
        let committed = self.server.commit(now, false);
        self.schedule(committed, Event::Committed(entries));
        committed
    }

    /// One node reads the beats and confirmations that were committed, and sends them to all.
    pub(super) fn send_gathered(&mut self) {
        let entries = std::mem::take(&mut self.gathered);
        if entries.is_empty() {
            return;
        }
        let cost = self.setting.costs.row * u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let done = self.server.work(self.now, self.setting.costs.confirming + cost);
        let committed = self.server.commit(done, false);
        let parts = 0..entries.len().div_ceil(MOST_GATHERED);
        self.parcels.push_back(entries);
        let notifications = parts.map(|part| Entry::Gathered { is_first: part == 0 });
        self.schedule(committed, Event::Committed(notifications.collect()));
    }

    pub(super) fn begin_turn(&mut self) {
        let is_listening = |node: &Node| node.is_connected && !node.is_dead;
        let listeners = self.nodes.iter().filter(|node| is_listening(node)).count();
        let turn = self.server.begin_turn(self.now, listeners);
        let mail = self.sort(turn.entries);
        for (node, entries) in mail {
            let Some(connection) = self.nodes[node].listens.filter(|_| is_listening(&self.nodes[node])) else {
                continue;
            };
            let read = turn.began + ((turn.ended - turn.began) as f64 * self.random.share()) as Time;
            let network = NETWORK.0 + self.random.around(NETWORK.1);
            let at = self.nodes[node].arrival(read, network).max(self.nodes[node].last_delivery);
            self.nodes[node].last_delivery = at;
            self.schedule(at, Event::Delivered(node, connection, entries));
        }
        self.schedule(turn.ended, Event::TurnEnds);
    }

    /// What each node reads in a turn, in the order of the commits.
    fn sort(&mut self, entries: Vec<Entry>) -> BTreeMap<usize, Vec<Entry>> {
        let mut mail: BTreeMap<usize, Vec<Entry>> = BTreeMap::new();
        for entry in entries {
            let parcel = if entry == (Entry::Gathered { is_first: true }) { self.parcels.pop_front() } else { None };
            for entry in parcel.unwrap_or_else(|| vec![entry]) {
                match entry {
                    Entry::Beat { node, .. } => mail.entry(node).or_default().push(entry),
                    Entry::Confirmation { to, .. } => mail.entry(to).or_default().push(entry),
                    Entry::End { .. } => {
                        (0..self.nodes.len()).for_each(|node| mail.entry(node).or_default().push(entry));
                    }
                    Entry::Mention | Entry::Gathered { .. } => {}
                }
            }
        }
        mail
    }

    pub(super) fn deliver(&mut self, node: usize, connection: u64, entries: Vec<Entry>) {
        if self.nodes[node].listens != Some(connection) || !self.nodes[node].is_connected {
            return;
        }
        self.nodes[node].heard += entries.len() as u64;
        for entry in entries {
            match entry {
                Entry::Beat { number, .. } => {
                    if self.nodes[node].hear_beat(number, self.now) {
                        self.check(node);
                    }
                }
                Entry::End { end } => {
                    self.nodes[node].remembers.remove(&end);
                    let committer = self.ends[end].node;
                    if committer != node {
                        self.nodes[node].unconfirmed.push((end, committer));
                    }
                }
                Entry::Mention | Entry::Gathered { .. } => {}
                Entry::Confirmation { end, from, .. } => {
                    self.figures.confirmations += 1;
                    self.ends[end].confirmations.confirm(&self.nodes[from].name);
                    self.settle(end);
                }
            }
        }
        self.send_confirmations(node);
    }

    /// Sends the confirmations that wait, unless the last ones are still on their way.
    pub(super) fn send_confirmations(&mut self, node: usize) {
        let from = &mut self.nodes[node];
        let Some(connection) = from.listens.filter(|_| !from.is_confirming && !from.unconfirmed.is_empty()) else {
            return;
        };
        from.is_confirming = true;
        let of = std::mem::take(&mut from.unconfirmed);
        self.send(node, self.now, Event::ConfirmationsArrive(node, connection, of));
    }

    pub(super) fn take_confirmations(&mut self, node: usize, connection: u64, of: &[(usize, usize)]) {
        if self.nodes[node].listens != Some(connection) || !self.nodes[node].is_connected {
            return;
        }
        let more = u32::try_from(of.len()).unwrap_or(u32::MAX).saturating_sub(1);
        let cost = self.setting.costs.confirming + self.setting.costs.confirmation * more;
        let done = self.server.work(self.now, cost);
        let entries = of.iter().map(|(end, to)| Entry::Confirmation { end: *end, from: node, to: *to }).collect();
        let committed = self.commit(done, entries);
        self.send(node, committed, Event::ConfirmationsAnswered(node, connection));
    }
}
