//! The events of a simulation: what the nodes, the server and the network do, one event after the other in virtual time.
//! Used by the cases.
//!
//! Invariant: an event of a frozen node waits until the node continues, in the same order. A dead node has no events.

mod ends;
mod messages;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use sessile::base::coherence::BEAT_INTERVAL;

use self::ends::End;
use super::{
    Setting,
    figures::Figures,
    node::{Node, Row},
    random::Random,
    server::{Entry, Server, Time, nanos},
    trouble::Kind,
};

/// The network's delay: the shortest, and the mean of what comes on top.
const NETWORK: (Duration, Duration) = (Duration::from_micros(80), Duration::from_micros(70));
/// How long the nodes have to get their leases before anything counts.
const WARM_UP: Duration = Duration::from_secs(2);
/// How often a node writes its touches.
const TOUCHES: Duration = Duration::from_millis(500);
/// How often a node sends mentions.
const MENTIONS: Duration = Duration::from_millis(100);
/// How long a node that lost its listening connection waits before it connects again.
const RECONNECT: Duration = Duration::from_millis(20);

#[derive(Debug)]
enum Event {
    BeatDue(usize),
    JoinArrives(usize, u64),
    JoinAnswered(usize, u64),
    BeatArrives(usize, u64),
    BeatRuns(usize, u64),
    BeatAnswered(usize, bool),
    Committed(Vec<Entry>),
    TurnEnds,
    Delivered(usize, u64, Vec<Entry>),
    ConfirmationsArrive(usize, u64, Vec<(usize, usize)>),
    ConfirmationsAnswered(usize, u64),
    EndDue,
    EndArrives(usize),
    EndRuns(usize),
    EndCommitted(usize),
    EndAnswered(usize),
    RowsArrive(usize),
    RowsAnswered(usize, Vec<(usize, Option<u64>)>),
    PatienceOver(usize),
    RemovalArrives(usize, Vec<(usize, Option<u64>)>, Duration),
    Acknowledged(usize),
    SignInDue,
    TouchesDue(usize),
    MentionsDue(usize),
    GatheringDue(Duration),
    TroubleDue(Kind, Duration),
    CutIsNoticed(usize, u64),
    Listens(usize),
}

pub struct World {
    setting: Setting,
    now: Time,
    sequence: u64,
    events: BinaryHeap<Reverse<(Time, u64, Slot)>>,
    random: Random,
    server: Server,
    nodes: Vec<Node>,
    ends: Vec<End>,
    /// Beats and confirmations that wait to be gathered, and those on their way.
    gathered: Vec<Entry>,
    parcels: VecDeque<Vec<Entry>>,
    connections: u64,
    pub figures: Figures,
}

/// An event, which has no order of its own.
struct Slot(Event);

impl PartialEq for Slot {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Slot {}
impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Slot {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// Simulates, and returns the figures.
pub fn run(setting: &Setting) -> Figures {
    let mut world = World::new(setting.clone());
    world.run_until(nanos(WARM_UP));
    world.begin_counting();
    world.run_until(nanos(WARM_UP + setting.time));
    world.finish()
}

impl World {
    fn new(setting: Setting) -> Self {
        let mut random = Random::new(setting.seed);
        let offset = |random: &mut Random| nanos(random.up_to(Duration::from_secs(1_000_000)));
        let nodes = (0..setting.nodes).map(|at| Node::new(at, offset(&mut random))).collect();
        let mut world = Self {
            server: Server::new(setting.costs.clone()),
            setting,
            now: 0,
            sequence: 0,
            events: BinaryHeap::new(),
            random,
            nodes,
            ends: Vec::new(),
            gathered: Vec::new(),
            parcels: VecDeque::new(),
            connections: 0,
            figures: Figures::default(),
        };
        for node in 0..world.nodes.len() {
            let due = nanos(world.random.up_to(BEAT_INTERVAL));
            world.schedule(due, Event::BeatDue(node));
            let due = nanos(world.random.up_to(MENTIONS));
            world.schedule(due, Event::MentionsDue(node));
        }
        if let Some(pause) = world.setting.gathers {
            world.schedule(nanos(pause), Event::GatheringDue(pause));
        }
        world
    }

    /// Begins the load and the trouble, and counts from here on.
    fn begin_counting(&mut self) {
        let costs = self.setting.costs.clone();
        (self.server.busy, self.server.locked) = (Duration::ZERO, Duration::ZERO);
        (self.server.wakes, self.server.notifications, self.server.transactions) = (0, 0, 0);
        self.figures.beats = 0;
        self.figures.nodes_with_lease = self.nodes.iter().filter(|node| node.has_lease(self.now)).count();
        for node in &mut self.nodes {
            (node.losses, node.without_lease, node.heard) = (0, Duration::ZERO, 0);
        }
        self.figures.cores = costs.cores;
        self.schedule_next(self.setting.ends, Event::EndDue);
        self.schedule_next(self.setting.sign_ins, Event::SignInDue);
        if self.setting.touches > 0.0 {
            for node in 0..self.nodes.len() {
                let due = self.now + nanos(self.random.up_to(TOUCHES));
                self.schedule(due, Event::TouchesDue(node));
            }
        }
        for (kind, mean) in self.setting.trouble.kinds() {
            let due = self.now + nanos(self.random.around(mean));
            self.schedule(due, Event::TroubleDue(kind, mean));
        }
    }

    fn finish(mut self) -> Figures {
        let figures = &mut self.figures;
        figures.time = self.setting.time;
        figures.nodes = self.nodes.len();
        figures.heard = self.nodes.iter().map(|node| node.heard).sum();
        figures.losses = self.nodes.iter().map(|node| node.losses).sum();
        figures.without_lease = self.nodes.iter().map(|node| node.time_without_lease(self.now)).sum();
        (figures.busy, figures.locked) = (self.server.busy, self.server.locked);
        (figures.wakes, figures.notifications) = (self.server.wakes, self.server.notifications);
        figures.notifying = self.server.transactions;
        figures.acknowledged.sort_unstable();
        self.figures
    }

    fn run_until(&mut self, end: Time) {
        while let Some(Reverse((at, ..))) = self.events.peek() {
            if *at > end {
                break;
            }
            let Some(Reverse((at, _, Slot(event)))) = self.events.pop() else { break };
            self.now = at;
            match owner(&event, &self.ends).map(|node| &self.nodes[node]) {
                Some(node) if node.is_dead => {}
                Some(node) if node.frozen_until > at => {
                    let later = node.frozen_until;
                    self.schedule(later, event);
                }
                _ => self.take(event),
            }
        }
        self.now = end;
    }

    fn schedule(&mut self, at: Time, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((at.max(self.now), self.sequence, Slot(event))));
    }

    /// Schedules the next of independent events.
    fn schedule_next(&mut self, rate: f64, event: Event) {
        if rate > 0.0 {
            let pause = self.random.around(Duration::from_secs_f64(1.0 / rate));
            self.schedule(self.now + nanos(pause), event);
        }
    }

    /// Sends something between a node and the server, on a connection of the node's pool.
    fn send(&mut self, node: usize, from: Time, event: Event) {
        let network = NETWORK.0 + self.random.around(NETWORK.1);
        let at = self.nodes[node].arrival(from, network);
        self.schedule(at, event);
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::BeatDue(node) => self.begin_beat(node),
            Event::JoinArrives(node, start) => {
                let done = self.server.work(self.now, self.setting.costs.beat);
                self.nodes[node].row = Some(Row { doubt: None });
                self.send(node, done, Event::JoinAnswered(node, start));
            }
            Event::JoinAnswered(node, start) => {
                if self.nodes[node].listens.unwrap_or(start) == start {
                    self.nodes[node].must_join = false;
                }
                self.begin_beat(node);
            }
            Event::BeatArrives(node, number) => {
                let done = self.server.work(self.now, self.setting.costs.beat);
                self.schedule(done, Event::BeatRuns(node, number));
            }
            Event::BeatRuns(node, number) => self.run_beat(node, number),
            Event::BeatAnswered(node, has_row) => {
                if has_row {
                    let due = self.now + nanos(BEAT_INTERVAL);
                    return self.schedule(due, Event::BeatDue(node));
                }
                self.nodes[node].lose(self.now);
                self.nodes[node].must_join = true;
                self.begin_beat(node);
            }
            Event::Committed(entries) => {
                if self.server.notify(entries) {
                    self.begin_turn();
                }
            }
            Event::TurnEnds => {
                if self.server.end_turn() {
                    self.begin_turn();
                }
            }
            Event::Delivered(node, connection, entries) => self.deliver(node, connection, entries),
            Event::ConfirmationsArrive(node, connection, of) => self.take_confirmations(node, connection, &of),
            Event::ConfirmationsAnswered(node, connection) => {
                if self.nodes[node].listens == Some(connection) {
                    self.nodes[node].is_confirming = false;
                    self.send_confirmations(node);
                }
            }
            Event::SignInDue => {
                let node = self.random.below(self.nodes.len());
                self.nodes[node].mentions = true;
                self.server.work(self.now, self.setting.costs.sign_in);
                self.schedule_next(self.setting.sign_ins, Event::SignInDue);
            }
            Event::TouchesDue(node) => {
                let each = self.setting.touches * TOUCHES.as_secs_f64() / self.nodes.len() as f64;
                let cost = self.setting.costs.touching + self.setting.costs.touch.mul_f64(each);
                self.server.work(self.now, cost);
                self.schedule(self.now + nanos(TOUCHES), Event::TouchesDue(node));
            }
            Event::MentionsDue(node) => {
                self.schedule(self.now + nanos(MENTIONS), Event::MentionsDue(node));
                if std::mem::take(&mut self.nodes[node].mentions) {
                    let done = self.server.work(self.now, self.setting.costs.confirming);
                    let committed = self.server.commit(done, false);
                    self.schedule(committed, Event::Committed(vec![Entry::Mention]));
                }
            }
            Event::GatheringDue(pause) => {
                self.schedule(self.now + nanos(pause), Event::GatheringDue(pause));
                self.send_gathered();
            }
            Event::TroubleDue(kind, mean) => self.make_trouble(kind, mean),
            Event::CutIsNoticed(node, connection) => {
                if self.nodes[node].listens == Some(connection) {
                    self.nodes[node].listens = None;
                    self.nodes[node].lose(self.now);
                    self.send(node, self.now + nanos(RECONNECT), Event::Listens(node));
                }
            }
            Event::Listens(node) => {
                self.connections += 1;
                self.nodes[node].listen(self.connections);
                self.send_confirmations(node);
            }
            event => self.take_end(event),
        }
    }

    fn make_trouble(&mut self, kind: Kind, mean: Duration) {
        let next = self.random.around(mean);
        self.schedule(self.now + nanos(next), Event::TroubleDue(kind, mean));
        let (at, lasts) = (self.random.below(self.nodes.len()), self.random.up_to(self.setting.trouble.longest(kind)));
        let until = self.now + nanos(lasts);
        let node = &mut self.nodes[at];
        self.figures.troubles += 1;
        match kind {
            Kind::Freeze => node.frozen_until = node.frozen_until.max(until),
            Kind::Delay => (node.delayed_until, node.delay) = (until, lasts),
            Kind::Stall => self.server.stall(until),
            Kind::Death => node.is_dead = true,
            Kind::Cut => {
                node.is_connected = false;
                if let Some(connection) = node.listens {
                    self.schedule(until, Event::CutIsNoticed(at, connection));
                }
            }
        }
    }
}

/// The node that takes the step. `None`: the server or the network.
fn owner(event: &Event, ends: &[End]) -> Option<usize> {
    match event {
        Event::BeatDue(node)
        | Event::JoinAnswered(node, _)
        | Event::BeatAnswered(node, _)
        | Event::Delivered(node, ..)
        | Event::ConfirmationsAnswered(node, _)
        | Event::TouchesDue(node)
        | Event::MentionsDue(node)
        | Event::CutIsNoticed(node, _)
        | Event::Listens(node) => Some(*node),
        Event::EndAnswered(end) | Event::RowsAnswered(end, _) | Event::PatienceOver(end) | Event::Acknowledged(end) => {
            Some(ends[*end].node)
        }
        _ => None,
    }
}
