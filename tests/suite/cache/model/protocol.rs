//! The steps of the model and what must hold.

use std::time::Duration;

use sessile::base::coherence::DOUBT;
use stateright::{Model, Property};

use super::{
    Fault, Protocol, Server,
    node::{Listening, Message, Node, Row, now},
    state::{End, State},
};

pub const NEVER_STALE: &str = "no request that begins after the acknowledgement is answered from memory";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    TimePasses,
    FailsOver,
    ReadsRows,
    Commits,
    DropsOwnEntry,
    Acknowledges,
    Node(usize, Step),
}

/// Something that a caching node does, or that happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Joins,
    SendsBeat,
    BeatIsCommitted,
    BeatIsLost,
    Hears,
    IsCutOff,
    NoticesLoss,
    Listens,
    Reads,
    Keeps,
    ReportsEnd,
    Confirms,
    MovesPool,
    RowIsDoubted,
    RowIsRemoved,
    Stops,
    RemovesOwnRow,
    IsTold,
}

const ACTIONS: [Action; 6] = [
    Action::TimePasses,
    Action::FailsOver,
    Action::ReadsRows,
    Action::Commits,
    Action::DropsOwnEntry,
    Action::Acknowledges,
];
const STEPS: [Step; 18] = [
    Step::Joins,
    Step::SendsBeat,
    Step::BeatIsCommitted,
    Step::BeatIsLost,
    Step::Hears,
    Step::IsCutOff,
    Step::NoticesLoss,
    Step::Listens,
    Step::Reads,
    Step::Keeps,
    Step::ReportsEnd,
    Step::Confirms,
    Step::MovesPool,
    Step::RowIsDoubted,
    Step::RowIsRemoved,
    Step::Stops,
    Step::RemovesOwnRow,
    Step::IsTold,
];
/// How a node comes to hold the session.
const WARM_UP: [Step; 7] =
    [Step::Listens, Step::Joins, Step::SendsBeat, Step::BeatIsCommitted, Step::Hears, Step::Reads, Step::Keeps];

impl Protocol {
    pub fn ticks(&self, duration: Duration) -> u8 {
        u8::try_from(duration.as_nanos().div_ceil(self.tick.as_nanos())).unwrap()
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn is_committer(&self, at: usize) -> bool {
        self.first_commits && at == 0
    }

    fn allows(&self, state: &State, action: Action) -> bool {
        let reads_first = self.has(Fault::ReadsRowsBeforeCommit);
        let can_commit = !self.first_commits || (state.nodes[0].pool == state.active && !state.nodes[0].closed);
        match (action, state.end) {
            (Action::TimePasses, _) => true,
            (Action::FailsOver, _) => self.fails_over && state.active == Server::First,
            (Action::ReadsRows, End::NotBegun) => reads_first,
            (Action::ReadsRows, End::Committed { dropped, .. }) => dropped || self.has(Fault::KeepsOwnEntry),
            (Action::Commits, End::NotBegun) => can_commit && !reads_first,
            (Action::Commits, End::RowsRead) => can_commit,
            (Action::DropsOwnEntry, End::Committed { dropped, .. }) => !dropped,
            (Action::Acknowledges, End::Waiting { .. }) => state.confirmations(self).is_over(now()),
            (Action::Node(at, step), _) => self.allows_step(state, at, step),
            _ => false,
        }
    }

    fn allows_step(&self, state: &State, at: usize, step: Step) -> bool {
        let node = &state.nodes[at];
        let reaches = node.pool == state.active;
        match step {
            Step::Joins => node.joins && reaches,
            Step::SendsBeat => node.beat.is_none() && !node.joins && !node.closed,
            Step::BeatIsCommitted => node.beat.is_some() && reaches && node.arriving.len() < self.most_arriving,
            Step::BeatIsLost => node.beat.is_some(),
            Step::Hears => !node.arriving.is_empty(),
            Step::IsCutOff => matches!(node.listening, Listening::To(_)),
            Step::NoticesLoss => node.listening != Listening::No && !node.closed,
            Step::Listens => node.listening == Listening::No && !node.closed,
            Step::Reads => {
                let has_read = node.reads || node.entry && !self.keeps_late;
                !has_read && !node.closed && state.lives_on(node.pool)
            }
            Step::Keeps => node.reads,
            // With other nodes it would wait for them, as after a commit.
            Step::ReportsEnd => self.nodes == 1 && !node.closed && state.ended.is_some() && !state.lives_on(node.pool),
            Step::Confirms => node.confirms && node.listening == Listening::To(state.active),
            Step::MovesPool => !reaches,
            Step::RowIsDoubted => self.removes_rows && node.row == Some(Row { doubted: None }),
            Step::RowIsRemoved => {
                let doubt = if self.has(Fault::RemovesAtOnce) { 0 } else { self.ticks(DOUBT) };
                let is_doubted = node.row.is_some_and(|row| row.doubted.is_some_and(|age| age >= doubt));
                is_doubted || self.has(Fault::RemovesLivingNode) && node.row.is_some()
            }
            Step::Stops => self.nodes_stop && !node.closed,
            Step::RemovesOwnRow => node.closed && node.row.is_some() && reaches,
            Step::IsTold => node.untold && matches!(node.listening, Listening::To(_)),
        }
    }

    fn take(&self, state: &mut State, action: Action) {
        match action {
            Action::TimePasses => state.let_time_pass(self),
            Action::FailsOver => state.active = Server::Second,
            Action::ReadsRows => self.read_rows(state),
            Action::Commits => self.commit(state),
            Action::DropsOwnEntry => {
                state.nodes[0].forget(self.fault);
                if self.on_file {
                    state.nodes[0].announcements.hear(1);
                }
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

    fn commit(&self, state: &mut State) {
        state.ended = Some(state.active);
        for (at, node) in state.nodes.iter_mut().enumerate() {
            node.untold = self.on_file && !self.is_committer(at) || self.has(Fault::TellsAfterCommit);
            if node.listening == Listening::To(state.active) && !node.untold && !self.on_file {
                node.arriving.push_back(Message::End);
            }
        }
        state.end = match state.end {
            End::RowsRead => End::Waiting { age: 0, unsure: false },
            _ => End::Committed { age: 0, dropped: !self.first_commits },
        };
    }

    /// Reads the rows on the connection of the commit. A failover has closed it.
    fn read_rows(&self, state: &mut State) {
        let unsure = state.ended.is_some_and(|on| on != state.active);
        for (at, node) in state.nodes.iter_mut().enumerate() {
            node.needed = node.row.is_some() && !self.is_committer(at) && !unsure;
        }
        state.end = match state.end {
            End::Committed { age, .. } => End::Waiting { age, unsure },
            _ => End::RowsRead,
        };
    }

    fn take_step(&self, state: &mut State, at: usize, step: Step) {
        // The end is the first announcement.
        let end = self.on_file.then_some(1);
        let number = self.on_file.then_some(u64::from(state.ended.is_some()));
        let (active, fault, node) = (state.active, self.fault, &mut state.nodes[at]);
        match step {
            Step::Joins => (node.row, node.joins) = (Some(Row { doubted: None }), false),
            Step::SendsBeat => node.send_beat(),
            Step::BeatIsCommitted => node.commit_beat(active, number, fault),
            Step::BeatIsLost => node.beat = None,
            Step::Hears => node.hear(self.is_committer(at), end, fault),
            Step::IsCutOff => node.is_cut_off(),
            Step::NoticesLoss => node.notice_loss(fault),
            Step::Listens => node.listen(active, fault),
            Step::Reads if self.keeps_late => node.reads = true,
            Step::Reads => node.entry = true,
            Step::Keeps => (node.reads, node.entry) = (false, true),
            Step::ReportsEnd => {
                if fault != Some(Fault::ReportsAndKeeps) {
                    node.forget(fault);
                }
                state.end = End::Acknowledged;
            }
            Step::Confirms => (node.confirms, node.confirmed) = (false, true),
            Step::MovesPool => node.pool = active,
            Step::RowIsDoubted => node.row = Some(Row { doubted: Some(0) }),
            Step::RowIsRemoved => (node.row, node.was_removed) = (None, self.notes_removals),
            Step::Stops => node.close(fault),
            Step::RemovesOwnRow => node.row = None,
            Step::IsTold => {
                node.untold = false;
                node.arriving.push_back(Message::End);
            }
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    /// All nodes have just started, or all hold the session.
    fn init_states(&self) -> Vec<State> {
        let nodes = vec![Node::new(); self.nodes];
        let cold = State { active: Server::First, ended: None, end: End::NotBegun, nodes };
        let mut warm = cold.clone();
        for at in 0..self.nodes {
            WARM_UP.iter().for_each(|step| self.take(&mut warm, Action::Node(at, *step)));
        }
        warm.settle(self);
        vec![cold, warm]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if !state.is_final() {
            let steps = (0..self.nodes).flat_map(|at| STEPS.map(|step| Action::Node(at, step)));
            actions.extend(ACTIONS.into_iter().chain(steps).filter(|action| self.allows(state, *action)));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.take(&mut next, action);
        next.settle(self);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(NEVER_STALE, |_, state: &State| !state.nodes.iter().any(|node| node.asked && node.entry)),
            Property::sometimes("a request is answered from memory", |_, state: &State| {
                state.nodes.iter().any(Node::answers)
            }),
        ];
        if self.nodes > usize::from(self.first_commits) {
            properties
                .push(Property::sometimes("an end is acknowledged by confirmations", |of: &Self, state: &State| {
                    state.is_over(of) == Some(false)
                }));
            properties.push(Property::sometimes("an end is acknowledged by patience", |of: &Self, state: &State| {
                state.is_over(of) == Some(true)
            }));
        }
        if self.notes_removals {
            properties.push(Property::sometimes("a node whose row was removed comes back", |_, state: &State| {
                state.nodes.iter().any(|node| node.was_removed && node.answers())
            }));
        }
        properties
    }
}
