//! The hub of a node: it receives the notifications of all nodes and passes each to the subscribers that it concerns.
//! `serve` runs it; the `events` page subscribes.
//!
//! Invariant: after any gap in the notifications, the sessions of all subscribers are looked up in the database.

use std::collections::BTreeMap;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::{
    mailbox::Notices,
    streams::{Listener, Stream, StreamLimits, Streams},
    subscription::Subscription,
};
use crate::{
    base::{
        clock::Clock,
        coherence::PATIENCE,
        db::{Conn, Db, Heard, Instant},
        error::{Away, Error, Result},
    },
    records::{
        news::News,
        session::{
            SessionRef,
            ended::EndReason,
            generation,
            listing::{self, Standing},
            sweep,
        },
    },
};

/// How often the sessions of all subscribers are looked up, even without a gap.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// Delay until a failed lookup is retried.
const RETRY: Duration = Duration::from_millis(500);
/// Maximum number of sessions that one query looks up.
const BATCH: usize = 500;

/// The hub. Cheap to clone; all clones share one state.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    db: Db,
    room: StreamLimits,
    clock: Clock,
    streams: Streams,
    look: Notify,
    /// Odd while this node receives all notifications. Incremented when that begins and when it stops.
    hearing: AtomicU64,
    on_known: OnceLock<Box<dyn Fn(Duration) + Send + Sync>>,
    ends: watch::Sender<Ends>,
}

/// What the streams to apps' servers are told: to read again, or to close.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends {
    /// Incremented when sessions may have ended.
    count: u64,
    /// The node is stopping.
    pub closed: bool,
}

impl Hub {
    /// A hub for a node with this many connections. It receives nothing until [`run`](Self::run) is called.
    pub fn new(db: Db, clock: Clock, connections: usize) -> Self {
        let room = StreamLimits::within(connections);
        let (streams, look) = (Streams::default(), Notify::new());
        let (hearing, on_known) = (AtomicU64::new(0), OnceLock::new());
        let ends = watch::Sender::new(Ends::default());
        Self(Arc::new(Inner { db, room, clock, streams, look, hearing, on_known, ends }))
    }

    /// Receives notifications and looks up sessions, until the future is dropped.
    pub async fn run(&self) {
        let hub = self.clone();
        tokio::join!(
            self.0.db.listen(move |heard| hub.on_notification(heard)),
            self.0.db.keep_lease(&self.0.clock),
            self.look_up_repeatedly()
        );
    }

    /// Subscribes to notices for a session. The first notice asks the subscriber to look up the session, because it may
    /// have ended since the request began.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the node is stopping. Also when the node has its maximum of streams (at most 1,500),
    /// and no account or address has more streams than the listener's own.
    pub fn subscribe(&self, listener: Listener) -> Result<Subscription> {
        let mut subscribers = self.0.streams.lock();
        if subscribers.closed {
            return Err(Error::unavailable(Away::Busy, "this node is stopping"));
        }
        if !subscribers.make_room(&listener, self.0.room) {
            return Err(Error::unavailable(Away::Busy, "too many open streams"));
        }
        let (number, mailbox) = subscribers.add(listener);
        Ok(Subscription { streams: self.0.streams.clone(), number, mailbox })
    }

    /// Changes when any session may have ended.
    pub fn ends(&self) -> watch::Receiver<Ends> {
        self.0.ends.subscribe()
    }

    fn note_ends(&self) {
        self.0.ends.send_modify(|ends| ends.count += 1);
    }

    /// The number of open streams.
    pub fn subscribers(&self) -> usize {
        self.0.streams.lock().all.len()
    }

    /// Closes every stream and accepts no more: the node is stopping.
    pub fn close(&self) {
        let mut subscribers = self.0.streams.lock();
        subscribers.closed = true;
        self.0.ends.send_modify(|ends| ends.closed = true);
        for subscriber in subscribers.all.values() {
            subscriber.mailbox.put(Notices { close: true, ..Notices::default() });
        }
    }

    /// `Some` while this node is sure to be notified of every end. The number changes with each gap. Data that was read
    /// under the current number is up to date, unless a notification about it has arrived or is still on its way.
    pub fn heard_everything(&self) -> Option<u64> {
        let hearing = self.0.hearing.load(Ordering::Acquire);
        (hearing % 2 == 1).then_some(hearing)
    }

    /// Registers a callback that receives the delay between the commit of an end and its arrival at this node, for a
    /// histogram. Only the first call has an effect.
    pub fn on_known(&self, observe: impl Fn(Duration) + Send + Sync + 'static) {
        let _ = self.0.on_known.set(Box::new(observe));
    }

    /// Whether a session is live or has ended. `None` if its row is gone, as after a rotation.
    pub async fn standing(&self, session: &SessionRef) -> Result<Option<Standing>> {
        Ok(self.standings(vec![session.clone()]).await?.remove(&session.id))
    }

    /// Waits until no node answers from memory with a session whose end this node has heard of. The process that ended it
    /// may still be waiting for the other nodes. A page that is told of the end may ask another node next.
    pub async fn settle_end(&self) {
        if let Err(error) = self.0.db.wait_for_other_nodes().await {
            tracing::debug!(%error, "waiting for the other nodes failed");
            tokio::time::sleep(PATIENCE).await;
        }
    }

    /// The current time by the database's clock.
    pub fn now(&self) -> Instant {
        self.0.clock.now()
    }

    fn on_notification(&self, heard: Heard) {
        match heard {
            Heard::Sure => {
                self.0.hearing.fetch_or(1, Ordering::AcqRel);
                self.note_ends();
                self.0.streams.lock().gap = true;
                self.0.look.notify_one();
            }
            Heard::Unsure => {
                let hearing = self.0.hearing.load(Ordering::Acquire);
                self.0.hearing.store(hearing + hearing % 2, Ordering::Release);
            }
            Heard::Said { at, text } => self.dispatch(News::heard(&text), at),
        }
    }

    fn dispatch(&self, news: News, at: Option<Instant>) {
        match news {
            News::Ended { reason, of } => {
                if let Some(at) = at {
                    self.observe_delay(self.now().since(at));
                }
                self.note_ends();
                self.0.streams.lock().end(&of, EndReason::from_word(&reason).unwrap_or(EndReason::Revoked), at);
            }
            News::Many => {
                self.note_ends();
                self.0.streams.lock().gap = true;
                self.0.look.notify_one();
            }
            News::Rotated { account, was } => {
                let rotated = Notices { rotated: true, ..Notices::default() };
                let sessions = Notices { sessions: true, ..Notices::default() };
                self.0
                    .streams
                    .lock()
                    .of(&account, |session| if session == was { rotated.clone() } else { sessions.clone() });
            }
            // Open pages learn of it by `News::Changed`.
            News::Accounts { .. } | News::Apps | News::Fence => {}
            News::Changed { account } => {
                self.0.streams.lock().of(&account, |_| Notices { sessions: true, ..Notices::default() });
            }
            News::Drafts { account } => {
                self.0.streams.lock().of(&account, |_| Notices { drafts: true, ..Notices::default() });
            }
        }
    }

    fn observe_delay(&self, time: Duration) {
        tracing::debug!(micros = time.as_micros(), "received a session end");
        if let Some(observe) = self.0.on_known.get() {
            observe(time);
        }
    }

    async fn look_up_repeatedly(&self) {
        loop {
            // Both a notification and the timeout trigger a lookup. `gap` records whether notifications were missed.
            let _ = tokio::time::timeout(LOOK_INTERVAL, self.0.look.notified()).await;
            while let Err(error) = self.look_up_streams().await {
                tracing::debug!(%error, "lookup of the open streams' sessions failed");
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Looks up all subscribers' sessions, and notifies the subscribers whose session has ended or was rotated. After a
    /// gap, also notifies the others that their lists may have changed.
    async fn look_up_streams(&self) -> Result<()> {
        let (gap, sessions) = {
            let mut subscribers = self.0.streams.lock();
            let of = |stream: &Stream| SessionRef::new(&stream.account, &stream.session);
            let sessions: Vec<SessionRef> = subscribers.all.values().map(of).collect();
            (std::mem::take(&mut subscribers.gap), sessions)
        };
        for batch in sessions.chunks(BATCH) {
            match self.standings(batch.to_vec()).await {
                Ok(standings) => self.0.streams.lock().settle(batch, &standings, gap),
                Err(error) => {
                    self.0.streams.lock().gap |= gap;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn standings(&self, sessions: Vec<SessionRef>) -> Result<BTreeMap<String, Standing>> {
        let standings = self.read_standings(sessions.clone()).await?;
        let is_unrecorded = |session: &&SessionRef| matches!(standings.get(&session.id), Some(Standing::Ended(ended)) if ended.may_be_unrecorded());
        let unrecorded: Vec<SessionRef> = sessions.iter().filter(is_unrecorded).cloned().collect();
        if unrecorded.is_empty() {
            return Ok(standings);
        }
        // End expired and outdated sessions in their rows before reporting their ends.
        let end = async move |conn: &mut Conn<'_>| {
            sweep::expire(conn, &unrecorded).await?;
            generation::end_these(conn, &unrecorded).await
        };
        self.0.db.write(end).await?;
        self.read_standings(sessions).await
    }

    async fn read_standings(&self, sessions: Vec<SessionRef>) -> Result<BTreeMap<String, Standing>> {
        self.0.db.read(async move |conn: &mut Conn<'_>| listing::standings(conn, &sessions).await).await
    }
}
