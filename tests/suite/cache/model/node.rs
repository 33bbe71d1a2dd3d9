//! A node of the model. It decides with the real [`Lease`].

use std::collections::VecDeque;
use std::time::Duration;

use sessile::base::coherence::{LEASE, Lease, Moment, Renewal};

use super::{Fault, Server};

/// The present, on the clock of every node. The model keeps it fixed: when time passes, everything else moves into the
/// past. So equal situations at different times are one state, and the model has no last moment.
pub fn now() -> Moment {
    Moment::from_nanos(1_000_000_000_000)
}

/// `moment`, after `passed` has passed.
fn earlier(moment: Moment, passed: Duration) -> Moment {
    Moment::from_nanos(moment.nanos() - u64::try_from(passed.as_nanos()).unwrap())
}

/// A beat, with its number in the lease. Numbers that the lease does not know are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Beat {
    pub number: u64,
    pub sent: Moment,
}

/// A message on the way to a listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    Beat(Beat),
    End,
    /// Not a message: the listener has yet to drop what it was told to drop. Only for [`Fault::ConfirmsBeforeDropping`].
    Drop,
}

/// The listening connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Listening {
    No,
    /// Receives what is committed on this server.
    To(Server),
    /// Receives nothing any more. The node has not noticed.
    Cut,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    pub lease: Lease,
    /// The node's row in `nodes`, with the time since its last beat in ticks.
    pub row: Option<u8>,
    /// The beat that was sent and is not yet committed.
    pub beat: Option<Beat>,
    /// The node has found no row and is about to add it.
    pub joins: bool,
    pub listening: Listening,
    pub arriving: VecDeque<Message>,
    /// The server of the request pool.
    pub pool: Server,
    /// A query has found the live session, under a stamp that is still current.
    pub reads: bool,
    /// The cache holds the live session, under a stamp that is still current.
    pub entry: bool,
    /// The node has heard of the end and is about to confirm it.
    pub confirms: bool,
    pub confirmed: bool,
    /// The committing node waits for this node.
    pub needed: bool,
    /// A request that began after the acknowledgement was allowed to look into the cache.
    pub asked: bool,
    pub closed: bool,
    /// The end was committed, and this node was not told. Only for [`Fault::TellsAfterCommit`].
    pub untold: bool,
    /// The row was removed by another node.
    pub was_removed: bool,
}

impl Node {
    /// A node that has just started.
    pub fn new() -> Self {
        Self {
            lease: Lease::default(),
            row: None,
            beat: None,
            joins: true,
            listening: Listening::No,
            arriving: VecDeque::new(),
            pool: Server::First,
            reads: false,
            entry: false,
            confirms: false,
            confirmed: false,
            needed: false,
            asked: false,
            closed: false,
            untold: false,
            was_removed: false,
        }
    }

    /// Whether the next request would be answered from memory.
    pub fn answers(&self) -> bool {
        self.entry && self.lease.allows(now())
    }

    /// Whether the cache holds the session or is about to.
    pub fn remembers(&self) -> bool {
        self.entry || self.reads
    }

    /// What was read before this is not current any more.
    pub fn forget(&mut self, fault: Option<Fault>) {
        self.entry = false;
        self.reads &= fault == Some(Fault::KeepsOutdatedRead);
    }

    /// As [`forget`](Self::forget), after messages may have been missed.
    fn forget_after_gap(&mut self, fault: Option<Fault>) {
        if fault != Some(Fault::KeepsCacheAfterGap) {
            self.forget(fault);
        }
    }

    /// As `Coherence::lose`.
    pub fn lose(&mut self, fault: Option<Fault>) {
        self.lease.lose();
        self.forget_after_gap(fault);
    }

    /// As `Coherence::send_beat`.
    pub fn send_beat(&mut self) {
        self.beat = Some(Beat { number: self.lease.send(now()), sent: now() });
    }

    /// As `Coherence::hear_beat`.
    fn hear_beat(&mut self, mut beat: Beat, fault: Option<Fault>) {
        if self.closed {
            return;
        }
        if fault == Some(Fault::CountsFromHearing) && self.lease.clone().hear(beat.number, now()) != Renewal::Ignored {
            beat = Beat { number: self.lease.send(now()), sent: now() };
        }
        if self.lease.hear(beat.number, now()) == Renewal::Regained {
            self.forget_after_gap(fault);
        }
    }

    /// As `Coherence::hear`. `commits`: the node itself has committed the end.
    fn hear_end(&mut self, commits: bool, fault: Option<Fault>) {
        self.confirms = !commits;
        if fault == Some(Fault::ConfirmsBeforeDropping) {
            self.arriving.push_front(Message::Drop);
        } else {
            self.forget(fault);
        }
    }

    pub fn hear(&mut self, commits: bool, fault: Option<Fault>) {
        match self.arriving.pop_front() {
            Some(Message::Beat(beat)) => self.hear_beat(beat, fault),
            Some(Message::End) => self.hear_end(commits, fault),
            Some(Message::Drop) => self.forget(fault),
            None => {}
        }
    }

    /// As the listening loop: a connection is gone.
    pub fn notice_loss(&mut self, fault: Option<Fault>) {
        self.listening = Listening::No;
        self.arriving.clear();
        self.lose(fault);
    }

    /// As the listening loop: a connection listens.
    pub fn listen(&mut self, server: Server, fault: Option<Fault>) {
        self.listening = Listening::To(server);
        self.forget_after_gap(fault);
    }

    /// Commits the beat that is under way. It fails without a row.
    pub fn commit_beat(&mut self, active: Server, tick: Duration, fault: Option<Fault>) {
        let Some(beat) = self.beat.take() else { return };
        if self.row.is_none() && fault != Some(Fault::BeatsWithoutRow) {
            self.lose(fault);
            self.joins = !self.closed;
            return;
        }
        // The row takes the time of the statement, which may be as early as the sending.
        let age = now().since(beat.sent).as_nanos() / tick.as_nanos();
        self.row = self.row.map(|_| u8::try_from(age).unwrap());
        if self.listening == Listening::To(active) {
            self.arriving.push_back(Message::Beat(beat));
        }
    }

    pub fn close(&mut self, fault: Option<Fault>) {
        self.closed = true;
        self.joins = false;
        self.lose(fault);
    }

    /// The node after `passed` has passed, in a normal form: a lease that has run out is none; a beat that is too old
    /// for a lease is as old as a lease; the beats that can still be heard are numbered anew.
    pub fn settle(&mut self, passed: Duration) {
        let old = std::mem::take(&mut self.lease);
        let is_known = |beat: &Beat| old.clone().hear(beat.number, now()) != Renewal::Ignored;
        if let Some(until) = old.until().map(|until| earlier(until, passed)).filter(|until| now() < *until) {
            let beat = self.lease.send(earlier(until, LEASE));
            self.lease.hear(beat, now());
        }
        let oldest = now().nanos() - u64::try_from((LEASE - passed).as_nanos()).unwrap();
        let is_useless = |beat: &Beat| beat.sent.nanos() <= oldest || !is_known(beat);
        self.arriving.retain(|message| !matches!(message, Message::Beat(beat) if is_useless(beat)));
        let arriving = self.arriving.iter_mut().filter_map(|message| match message {
            Message::Beat(beat) => Some(beat),
            Message::End | Message::Drop => None,
        });
        for beat in arriving.chain(&mut self.beat) {
            let is_known = is_known(beat);
            beat.sent = earlier(beat.sent, passed).max(earlier(now(), LEASE));
            beat.number = if is_known { self.lease.send(beat.sent) } else { 0 };
        }
    }
}
