//! The steps of the model and what must hold.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use sessile::base::coherence::{Confirmations, Moment, PATIENCE};
use stateright::{Model, Property};

use super::{
    Fault, Server,
    node::{Listening, Message, Node, now},
};

/// A row without a beat for this long may be removed.
const DEAD_AFTER: Duration = Duration::from_millis(600);
/// How much [`Fault::WaitsTooShort`] takes off the wait.
const TOO_SHORT: Duration = Duration::from_millis(300);
/// The committing node's own name, which never confirms. It stands for rows that cannot be read.
const ANYONE: &str = "anyone";

/// The sizes of the model.
#[derive(Debug, Clone)]
pub struct Protocol {
    pub tick: Duration,
    /// How many nodes cache.
    pub nodes: usize,
    /// Whether the first of them commits the end. Otherwise a process that does not cache commits it.
    pub commits: bool,
    pub fails_over: bool,
    pub removes_rows: bool,
    /// Whether a node remembers for good that its row was removed, to see it come back.
    pub notes_removal: bool,
    pub stops: bool,
    /// Whether a query's result is kept later than it is read. If not, it is kept at once.
    pub keeps_late: bool,
    /// Maximum number of messages in a node's queue.
    pub most_arriving: usize,
    pub fault: Option<Fault>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub active: Server,
    /// The server on which the end was committed. A failover carries it to the second.
    pub ended: Option<Server>,
    pub end: End,
    pub nodes: Vec<Node>,
}

/// What the process that ends the session has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    NotBegun,
    /// The rows were read. Only for [`Fault::ReadsRowsBeforeCommit`].
    RowsRead,
    /// Committed this many ticks ago.
    Committed {
        age: u8,
        dropped: bool,
    },
    /// The rows were read. `unsure`: the rows could not be read.
    Waiting {
        age: u8,
        unsure: bool,
    },
    Acknowledged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    TimePasses,
    FailsOver,
    ReadsRows,
    Commits,
    DropsOwn,
    Acknowledges,
    Node(usize, Step),
}

/// A step of a caching node, or something that happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Joins,
    SendsBeat,
    BeatCommits,
    BeatIsLost,
    Hears,
    IsCutOff,
    NoticesLoss,
    Listens,
    Reads,
    Keeps,
    Confirms,
    MovesPool,
    RowIsRemoved,
    Stops,
    RemovesOwnRow,
    IsTold,
}

const STEPS: [Step; 16] = [
    Step::Joins,
    Step::SendsBeat,
    Step::BeatCommits,
    Step::BeatIsLost,
    Step::Hears,
    Step::IsCutOff,
    Step::NoticesLoss,
    Step::Listens,
    Step::Reads,
    Step::Keeps,
    Step::Confirms,
    Step::MovesPool,
    Step::RowIsRemoved,
    Step::Stops,
    Step::RemovesOwnRow,
    Step::IsTold,
];

/// How a node comes to remember the session.
const WARMING: [Step; 7] =
    [Step::Listens, Step::Joins, Step::SendsBeat, Step::BeatCommits, Step::Hears, Step::Reads, Step::Keeps];

impl Protocol {
    fn ticks(&self, duration: Duration) -> u8 {
        u8::try_from(duration.as_nanos().div_ceil(self.tick.as_nanos())).unwrap()
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// What the committing node knows, as it asks the real rules.
    fn confirmations(&self, state: &State) -> (Confirmations, Moment) {
        let mut confirmations = Confirmations::default();
        let name = |at: usize| at.to_string();
        let those = |is: fn(&Node) -> bool| state.nodes.iter().enumerate().filter(move |(_, node)| is(node));
        those(|node| node.confirmed).for_each(|(at, _)| confirmations.confirm(&name(at)));
        let mut committed = now();
        if let End::Waiting { age, unsure } = state.end {
            let mut needed: BTreeSet<String> = those(|node| node.needed).map(|(at, _)| name(at)).collect();
            needed.extend(unsure.then(|| ANYONE.to_owned()));
            let waited = self.tick * u32::from(age);
            let waited = if self.has(Fault::WaitsTooShort) { waited + TOO_SHORT } else { waited };
            committed = Moment::from_nanos(now().nanos() - u64::try_from(waited.as_nanos()).unwrap());
            confirmations.need(committed, needed);
        }
        (confirmations, committed)
    }

    /// Whether the end may be acknowledged, after it was waited for another node.
    fn is_over_after_wait(&self, state: &State) -> bool {
        let waited = state.nodes.iter().any(|node| node.needed);
        waited && matches!(state.end, End::Waiting { .. }) && self.confirmations(state).0.is_over(now())
    }

    fn allows(&self, state: &State, action: Action) -> bool {
        match (action, state.end) {
            (Action::TimePasses, _) => true,
            (Action::FailsOver, _) => self.fails_over && state.active == Server::First,
            (Action::ReadsRows, End::NotBegun) => self.has(Fault::ReadsRowsBeforeCommit),
            (Action::ReadsRows, End::Committed { dropped, .. }) => dropped || self.has(Fault::KeepsOwnEntry),
            (Action::Commits, End::NotBegun) => {
                !self.has(Fault::ReadsRowsBeforeCommit) && self.committer_reaches(state)
            }
            (Action::Commits, End::RowsRead) => self.committer_reaches(state),
            (Action::DropsOwn, End::Committed { dropped, .. }) => !dropped,
            (Action::Acknowledges, End::Waiting { .. }) => self.confirmations(state).0.is_over(now()),
            (Action::Node(at, step), _) => self.allows_step(state, at, step),
            _ => false,
        }
    }

    /// Whether the committing node is connected to the server that commits.
    fn committer_reaches(&self, state: &State) -> bool {
        !self.commits || (state.nodes[0].pool == state.active && !state.nodes[0].closed)
    }

    fn allows_step(&self, state: &State, at: usize, step: Step) -> bool {
        let node = &state.nodes[at];
        let reaches = node.pool == state.active;
        match step {
            Step::Joins => node.joins && reaches,
            Step::SendsBeat => node.beat.is_none() && !node.joins && !node.closed,
            Step::BeatCommits => node.beat.is_some() && reaches && node.arriving.len() < self.most_arriving,
            Step::BeatIsLost => node.beat.is_some(),
            Step::Hears => !node.arriving.is_empty(),
            Step::IsCutOff => matches!(node.listening, Listening::To(_)),
            Step::NoticesLoss => node.listening != Listening::No && !node.closed,
            Step::Listens => node.listening == Listening::No && !node.closed,
            Step::Reads => !node.reads && (self.keeps_late || !node.entry) && !node.closed && state.lives_on(node.pool),
            Step::Keeps => node.reads,
            Step::Confirms => node.confirms && node.listening == Listening::To(state.active),
            Step::MovesPool => node.pool != state.active,
            Step::RowIsRemoved => {
                let is_dead = node.row.is_some_and(|age| age >= self.ticks(DEAD_AFTER));
                self.removes_rows && is_dead || self.has(Fault::RemovesLivingNode) && node.row.is_some()
            }
            Step::Stops => self.stops && !node.closed,
            Step::RemovesOwnRow => node.closed && node.row.is_some() && reaches,
            Step::IsTold => node.untold && matches!(node.listening, Listening::To(_)),
        }
    }

    fn take(&self, state: &mut State, action: Action) {
        match action {
            Action::TimePasses => self.let_time_pass(state),
            Action::FailsOver => state.active = Server::Second,
            Action::ReadsRows => self.read_rows(state),
            Action::Commits => self.commit(state),
            Action::DropsOwn => {
                state.nodes[0].forget(self.fault);
                if let End::Committed { dropped, .. } = &mut state.end {
                    *dropped = true;
                }
            }
            Action::Acknowledges => state.end = End::Acknowledged,
            Action::Node(at, step) => {
                self.take_step(state, at, step);
                state.nodes[at].settle(Duration::ZERO);
            }
        }
    }

    fn let_time_pass(&self, state: &mut State) {
        for node in &mut state.nodes {
            node.settle(self.tick);
            node.row = node.row.map(|age| (age + 1).min(self.ticks(DEAD_AFTER)));
        }
        if let End::Committed { age, .. } | End::Waiting { age, .. } = &mut state.end {
            *age = (*age + 1).min(self.ticks(PATIENCE));
        }
    }

    fn commit(&self, state: &mut State) {
        state.ended = Some(state.active);
        for node in &mut state.nodes {
            node.untold = self.has(Fault::TellsAfterCommit);
            if node.listening == Listening::To(state.active) && !node.untold {
                node.arriving.push_back(Message::End);
            }
        }
        state.end = match state.end {
            End::RowsRead => End::Waiting { age: 0, unsure: false },
            _ => End::Committed { age: 0, dropped: !self.commits },
        };
    }

    fn read_rows(&self, state: &mut State) {
        // The rows are read on the connection of the commit.
        let unsure = state.ended.is_some_and(|on| on != state.active);
        for (at, node) in state.nodes.iter_mut().enumerate() {
            node.needed = node.row.is_some() && !(self.commits && at == 0) && !unsure;
        }
        state.end = match state.end {
            End::Committed { age, .. } => End::Waiting { age, unsure },
            _ => End::RowsRead,
        };
    }

    fn take_step(&self, state: &mut State, at: usize, step: Step) {
        let (active, fault, node) = (state.active, self.fault, &mut state.nodes[at]);
        match step {
            Step::Joins => {
                node.row = Some(0);
                node.joins = false;
            }
            Step::SendsBeat => node.send_beat(),
            Step::BeatCommits => node.commit_beat(active, self.tick, fault),
            Step::BeatIsLost => node.beat = None,
            Step::Hears => node.hear(self.commits && at == 0, fault),
            Step::IsCutOff => {
                node.listening = Listening::Cut;
                node.arriving.clear();
            }
            Step::NoticesLoss => node.notice_loss(fault),
            Step::Listens => node.listen(active, fault),
            Step::Reads if self.keeps_late => node.reads = true,
            Step::Reads => node.entry = true,
            Step::Keeps => (node.reads, node.entry) = (false, true),
            Step::Confirms => (node.confirms, node.confirmed) = (false, true),
            Step::MovesPool => node.pool = active,
            Step::RowIsRemoved => {
                node.row = None;
                node.was_removed = self.notes_removal;
            }
            Step::Stops => node.close(fault),
            Step::RemovesOwnRow => node.row = None,
            Step::IsTold => {
                node.untold = false;
                node.arriving.push_back(Message::End);
            }
        }
    }

    /// Brings the state into its normal form. Leaves out what cannot matter any more: a node that does not remember the
    /// session and cannot read it only confirms.
    fn settle(&self, state: &mut State) {
        let is_acknowledged = state.end == End::Acknowledged;
        let is_waiting = matches!(state.end, End::Waiting { .. });
        let lives = [Server::First, Server::Second].map(|server| state.lives_on(server));
        for node in &mut state.nodes {
            node.asked |= is_acknowledged && node.lease.allows(now());
            if !self.removes_rows {
                node.row = node.row.map(|_| 0);
            }
            if is_acknowledged {
                (node.confirms, node.confirmed, node.needed) = (false, false, false);
            }
            let is_done = !node.remembers() && (node.closed || !lives[node.pool as usize]);
            if is_done && (is_acknowledged || is_waiting) {
                let only_confirms = Node { joins: false, pool: state.active, ..Node::new() };
                let old = std::mem::replace(node, only_confirms);
                if is_waiting && old.needed && !old.confirmed {
                    (node.needed, node.confirms, node.listening) = (true, old.confirms, old.listening);
                    node.arriving = old.arriving;
                    node.arriving.retain(|message| !matches!(message, Message::Beat(_)));
                    node.untold = old.untold;
                } else {
                    (node.needed, node.confirmed, node.closed) = (old.needed, old.confirmed, true);
                }
            }
        }
        let alike = usize::from(self.commits).min(state.nodes.len());
        state.nodes[alike..].sort_by_cached_key(|node| {
            let mut hasher = DefaultHasher::new();
            node.hash(&mut hasher);
            hasher.finish()
        });
    }
}

impl State {
    /// Whether a query on this server finds the session alive.
    fn lives_on(&self, server: Server) -> bool {
        match self.ended {
            None => true,
            Some(Server::First) => false,
            Some(Server::Second) => server == Server::First,
        }
    }

    /// Whether no node can remember the session any more.
    fn is_forgotten(&self) -> bool {
        self.nodes.iter().all(|node| !node.remembers() && (node.closed || !self.lives_on(node.pool)))
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let nodes = vec![Node::new(); self.nodes];
        let cold = State { active: Server::First, ended: None, end: End::NotBegun, nodes };
        let warm = (0..self.nodes).flat_map(|at| WARMING.map(|step| Action::Node(at, step)));
        let warm = warm.fold(cold.clone(), |state, action| self.next_state(&state, action).unwrap());
        vec![cold, warm]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.end == End::Acknowledged && state.is_forgotten() {
            return;
        }
        let all = [
            Action::TimePasses,
            Action::FailsOver,
            Action::ReadsRows,
            Action::Commits,
            Action::DropsOwn,
            Action::Acknowledges,
        ];
        let steps = (0..self.nodes).flat_map(|at| STEPS.map(|step| Action::Node(at, step)));
        actions.extend(all.into_iter().chain(steps).filter(|action| self.allows(state, *action)));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.take(&mut next, action);
        self.settle(&mut next);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(super::cases::NEVER_STALE, |_, state: &State| {
                !state.nodes.iter().any(|node| node.asked && node.entry)
            }),
            Property::sometimes("a read is answered from memory", |_, state: &State| {
                state.nodes.iter().any(Node::answers)
            }),
        ];
        if self.nodes > usize::from(self.commits) {
            properties.extend([
                Property::sometimes("an end is acknowledged by confirmations", |model: &Self, state: &State| {
                    model.is_over_after_wait(state) && model.confirmations(state).0.missing().is_empty()
                }),
                Property::sometimes("an end is acknowledged by patience", |model: &Self, state: &State| {
                    model.is_over_after_wait(state) && !model.confirmations(state).0.missing().is_empty()
                }),
            ]);
        }
        if self.notes_removal {
            properties.push(Property::sometimes("a node whose row was removed comes back", |_, state: &State| {
                state.nodes.iter().any(|node| node.was_removed && node.answers())
            }));
        }
        properties
    }
}
