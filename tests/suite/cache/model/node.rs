//! A node of the model. Its methods follow those of `Coherence`, the listening loop and the session cache.

use std::collections::VecDeque;
use std::time::Duration;

use sessile::base::coherence::{Announcements, LEASE, Lease, Moment, Renewal};

use super::{Fault, Server};

/// The present. It never changes: when time passes, everything else moves into the past. So equal situations are one
/// state, whenever they occur, and the model needs no last moment.
pub fn now() -> Moment {
    Moment::from_nanos(1_000_000_000_000)
}

/// The moment `duration` before `moment`.
pub fn before(moment: Moment, duration: Duration) -> Moment {
    Moment::from_nanos(moment.nanos() - u64::try_from(duration.as_nanos()).unwrap())
}

/// A beat, by its number in the lease. A beat that the lease does not know has number 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Beat {
    number: u64,
    sent: Moment,
}

/// A message in a node's queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    Beat(Beat),
    End,
    /// With [`Fault::ConfirmsBeforeDropping`], what the node has yet to do after it heard of the end.
    Drop,
}

/// A node's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// The number of ticks since the row was doubted.
    pub doubted: Option<u8>,
}

/// The listening connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Listening {
    No,
    To(Server),
    /// The connection is dead, and the node has not noticed.
    Cut,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    pub lease: Lease,
    /// Only on a file.
    pub announcements: Announcements,
    pub row: Option<Row>,
    /// The beat that was sent and is not committed yet.
    pub beat: Option<Beat>,
    /// The node is about to add its row.
    pub joins: bool,
    pub listening: Listening,
    pub arriving: VecDeque<Message>,
    /// The server of the request pool.
    pub pool: Server,
    /// A query has found the live session, and its stamp is still current.
    pub reads: bool,
    /// The cache holds the live session, and its stamp is still current.
    pub entry: bool,
    /// A request that began after the acknowledgement may take an entry.
    pub asked: bool,
    /// The node is about to confirm the end.
    pub confirms: bool,
    pub confirmed: bool,
    /// The committing node waits for this node.
    pub needed: bool,
    pub closed: bool,
    /// With [`Fault::TellsAfterCommit`]: the message about the end has yet to be sent to this node.
    pub untold: bool,
    pub was_removed: bool,
}

impl Node {
    /// A node that has just started.
    pub fn new() -> Self {
        Self {
            lease: Lease::default(),
            announcements: Announcements::default(),
            row: None,
            beat: None,
            joins: true,
            listening: Listening::No,
            arriving: VecDeque::new(),
            pool: Server::First,
            reads: false,
            entry: false,
            asked: false,
            confirms: false,
            confirmed: false,
            needed: false,
            closed: false,
            untold: false,
            was_removed: false,
        }
    }

    /// Whether a request that begins now would be answered from memory.
    pub fn answers(&self) -> bool {
        self.entry && self.lease.allows(now())
    }

    /// Whether the cache holds the session, or may do so without another query.
    pub fn remembers(&self) -> bool {
        self.entry || self.reads
    }

    /// Something changed: what was read before is not current any more.
    pub fn forget(&mut self, fault: Option<Fault>) {
        self.entry = false;
        self.reads &= fault == Some(Fault::KeepsOutdatedRead);
    }

    /// Messages may have been missed.
    fn forget_after_gap(&mut self, fault: Option<Fault>) {
        if fault != Some(Fault::KeepsCacheAfterGap) {
            self.forget(fault);
        }
    }

    fn lose(&mut self, fault: Option<Fault>) {
        self.lease.lose();
        self.forget_after_gap(fault);
    }

    pub fn send_beat(&mut self) {
        self.beat = Some(Beat { number: self.lease.send(now()), sent: now() });
    }

    /// The beat under way is committed, or finds that there is no row, or a doubted one. On a file it reads the number of
    /// announcements.
    pub fn commit_beat(&mut self, active: Server, number: Option<u64>, fault: Option<Fault>) {
        let Some(beat) = self.beat.take() else { return };
        let beats = match self.row {
            None => fault == Some(Fault::BeatsWithoutRow),
            Some(row) => row.doubted.is_none() || fault == Some(Fault::BeatsWhenDoubted),
        };
        if !beats {
            self.lose(fault);
            self.joins = !self.closed;
            return;
        }
        if let Some(number) = number.filter(|_| fault != Some(Fault::IgnoresNumbers)) {
            self.announcements.read(number);
        }
        if self.listening == Listening::To(active) {
            self.arriving.push_back(Message::Beat(beat));
        }
    }

    /// Hears the next message. `is_committer`: this node has committed the end itself. `number`: that of the end, on a
    /// file.
    pub fn hear(&mut self, is_committer: bool, number: Option<u64>, fault: Option<Fault>) {
        match self.arriving.pop_front() {
            Some(Message::Beat(beat)) => self.hear_beat(beat, fault),
            Some(Message::End) => {
                self.confirms = !is_committer;
                match fault {
                    Some(Fault::ConfirmsBeforeDropping) => self.arriving.push_front(Message::Drop),
                    _ => self.forget(fault),
                }
                if let Some(number) = number {
                    self.announcements.hear(number);
                }
            }
            Some(Message::Drop) => self.forget(fault),
            None => {}
        }
    }

    fn hear_beat(&mut self, mut beat: Beat, fault: Option<Fault>) {
        if self.closed {
            return;
        }
        if fault == Some(Fault::CountsFromHearing) && self.knows(&beat) {
            beat.number = self.lease.send(now());
        }
        if self.lease.hear(beat.number, now(), &mut self.announcements) == Renewal::Regained {
            self.forget_after_gap(fault);
        }
    }

    pub fn is_cut_off(&mut self) {
        self.listening = Listening::Cut;
        self.arriving.clear();
    }

    pub fn notice_loss(&mut self, fault: Option<Fault>) {
        self.listening = Listening::No;
        self.arriving.clear();
        self.lose(fault);
    }

    pub fn listen(&mut self, server: Server, fault: Option<Fault>) {
        self.listening = Listening::To(server);
        self.forget_after_gap(fault);
    }

    pub fn close(&mut self, fault: Option<Fault>) {
        self.closed = true;
        self.joins = false;
        self.lose(fault);
    }

    fn knows(&self, beat: &Beat) -> bool {
        hear(&mut self.lease.clone(), beat.number, now()) != Renewal::Ignored
    }

    /// Lets time pass, and brings the lease into a normal form: one that has run out is none, a beat that can be heard
    /// no more or gives no lease is left out, and the others are numbered anew.
    pub fn settle(&mut self, passed: Duration) {
        let (oldest, later) = (before(now(), LEASE), now().plus(passed));
        let arriving = std::mem::take(&mut self.arriving);
        let is_of_use = |beat: &Beat| before(beat.sent, passed) > oldest && self.knows(beat);
        let arriving =
            arriving.into_iter().filter(|message| !matches!(message, Message::Beat(beat) if !is_of_use(beat)));
        let mut arriving: VecDeque<Message> = arriving.collect();
        let old = std::mem::take(&mut self.lease);
        if let Some(until) = old.until().filter(|until| later < *until) {
            let beat = self.lease.send(before(before(until, passed), LEASE));
            hear(&mut self.lease, beat, now());
        }
        let beats = arriving.iter_mut().filter_map(|message| match message {
            Message::Beat(beat) => Some(beat),
            Message::End | Message::Drop => None,
        });
        for beat in beats.chain(&mut self.beat) {
            let was = beat.number;
            beat.sent = before(beat.sent, passed).max(oldest);
            beat.number = match hear(&mut old.clone(), was, later) {
                Renewal::Ignored => 0,
                Renewal::Extended | Renewal::Regained => self.lease.send(beat.sent),
            };
            assert_eq!(after(&self.lease, beat.number, now()), after(&old, was, later), "the lease has another state");
        }
        self.arriving = arriving;
    }
}

/// What a beat does to the lease if no announcement is missing.
fn hear(lease: &mut Lease, beat: u64, at: Moment) -> Renewal {
    lease.hear(beat, at, &mut Announcements::default())
}

/// What a beat does to the lease, and how long the lease then lasts.
fn after(lease: &Lease, beat: u64, at: Moment) -> (Renewal, Option<Duration>) {
    let mut lease = lease.clone();
    let renewal = hear(&mut lease, beat, at);
    (renewal, lease.until().filter(|until| at < *until).map(|until| until.since(at)))
}
