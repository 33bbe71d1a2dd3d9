//! The node's hub: it hears what is announced on every node and passes it to the subscribers it concerns. `serve` runs
//! it; the `events` page subscribes.
//!
//! Invariant: after any gap in what it hears, every subscriber is looked up in the database.

use std::collections::BTreeMap;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use tokio::sync::Notify;

use super::{
    mailbox::Notices,
    streams::{Listener, Stream, StreamLimits, Streams},
    subscription::Subscription,
};
use crate::{
    base::{
        clock::Clock,
        db::{Conn, Db, Heard, Instant},
        error::{Away, EndedBecause, Error, Result},
    },
    records::{
        news::News,
        session::{
            SessionRef,
            ended::EndReason,
            listing::{self, Standing},
            sweep,
        },
    },
};

/// How often all subscribers are looked up even though nothing was missed.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// How soon a look that failed is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Sessions that one query looks up.
const BATCH: usize = 500;

/// The hub. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    db: Db,
    room: StreamLimits,
    clock: Clock,
    streams: Streams,
    look: Notify,
    /// Odd while everything is heard; grows when that begins and when it stops.
    hearing: AtomicU64,
    on_known: OnceLock<Box<dyn Fn(Duration) + Send + Sync>>,
}

impl Hub {
    /// A hub for a node with so many connections. It hears nothing until it [runs](Self::run).
    pub fn new(db: Db, clock: Clock, connections: usize) -> Self {
        let room = StreamLimits::within(connections);
        let (streams, look) = (Streams::default(), Notify::new());
        let (hearing, on_known) = (AtomicU64::new(0), OnceLock::new());
        Self(Arc::new(Inner { db, room, clock, streams, look, hearing, on_known }))
    }

    /// Hears and looks up, until it is dropped.
    pub async fn run(&self) {
        let hub = self.clone();
        tokio::join!(self.0.db.listen(move |heard| hub.hear(heard)), self.look_again_and_again());
    }

    /// Subscribes to the news of a session. Its first news is to look the session up: it may have ended since the
    /// request began.
    ///
    /// # Errors
    /// [`Error::Unavailable`] once the node stops, and while it has as many subscribers as there is room for, 1,500 at most,
    /// and neither an account nor an address has more of them than this one's has.
    pub fn subscribe(&self, listener: Listener) -> Result<Subscription> {
        let mut subscribers = self.0.streams.lock();
        if subscribers.closed {
            return Err(Error::unavailable(Away::Busy, "this node stops"));
        }
        if !subscribers.make_room(&listener, self.0.room) {
            return Err(Error::unavailable(Away::Busy, "too many open streams"));
        }
        let (number, mailbox) = subscribers.add(listener);
        Ok(Subscription { streams: self.0.streams.clone(), number, mailbox })
    }

    /// How many subscribers there are.
    pub fn subscribers(&self) -> usize {
        self.0.streams.lock().all.len()
    }

    /// Ends every stream and takes no more: the node stops.
    pub fn close(&self) {
        let mut subscribers = self.0.streams.lock();
        subscribers.closed = true;
        for subscriber in subscribers.all.values() {
            subscriber.mailbox.put(Notices { close: true, ..Notices::default() });
        }
    }

    /// `Some` while this node is sure to hear of every end, with a number that changes with each gap: what was read from
    /// the database under the same number, and has not been told of since, is as the database has it, give or take the
    /// time that news travels.
    pub fn heard_everything(&self) -> Option<u64> {
        let hearing = self.0.hearing.load(Ordering::Acquire);
        (hearing % 2 == 1).then_some(hearing)
    }

    /// Calls `observe` with the time from each end's commit to this node knowing of it: for a histogram. Once.
    pub fn on_known(&self, observe: impl Fn(Duration) + Send + Sync + 'static) {
        let _ = self.0.on_known.set(Box::new(observe));
    }

    /// Where a session stands in the database; `None` when its row is gone, as after a rotation.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn standing(&self, session: &SessionRef) -> Result<Option<Standing>> {
        Ok(self.standings(vec![session.clone()]).await?.remove(&session.id))
    }

    /// The present, as the database sees it.
    pub fn now(&self) -> Instant {
        self.0.clock.now()
    }

    fn hear(&self, heard: Heard) {
        match heard {
            Heard::Sure => {
                self.0.hearing.fetch_or(1, Ordering::AcqRel);
                self.0.streams.lock().gap = true;
                self.0.look.notify_one();
            }
            Heard::Unsure => {
                let hearing = self.0.hearing.load(Ordering::Acquire);
                self.0.hearing.store(hearing + hearing % 2, Ordering::Release);
            }
            Heard::Said { at, text } => self.pass_on(News::heard(&text), at),
        }
    }

    fn pass_on(&self, news: News, at: Option<Instant>) {
        match news {
            News::Ended { reason, of } => {
                self.0.streams.lock().end(&of, EndReason::from_word(&reason).unwrap_or(EndReason::Revoked), at);
                if let Some(at) = at {
                    self.known_after(self.now().since(at));
                }
            }
            News::Many => {
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
            News::Changed { account } => {
                self.0.streams.lock().of(&account, |_| Notices { sessions: true, ..Notices::default() });
            }
            News::Drafts { account } => {
                self.0.streams.lock().of(&account, |_| Notices { drafts: true, ..Notices::default() });
            }
        }
    }

    fn known_after(&self, time: Duration) {
        tracing::debug!(micros = time.as_micros(), "an end is known");
        if let Some(observe) = self.0.on_known.get() {
            observe(time);
        }
    }

    async fn look_again_and_again(&self) {
        loop {
            // Either is a reason to look, and which it was is in `gap`.
            let _ = tokio::time::timeout(LOOK_INTERVAL, self.0.look.notified()).await;
            while let Err(error) = self.look().await {
                tracing::debug!(%error, "open streams could not be looked up");
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Looks every subscriber up, and tells those whose session has ended, or was rotated, of it. After a gap the others
    /// are told that their lists may have changed.
    async fn look(&self) -> Result<()> {
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
        let has_expired = |session: &&SessionRef| matches!(standings.get(&session.id), Some(Standing::Ended(ended)) if ended.because == EndedBecause::Expired);
        let expired: Vec<SessionRef> = sessions.iter().filter(has_expired).cloned().collect();
        if expired.is_empty() {
            return Ok(standings);
        }
        // What is told to have expired has ended in its row first.
        self.0.db.write(async move |conn: &mut Conn<'_>| sweep::expire(conn, &expired).await).await?;
        self.read_standings(sessions).await
    }

    async fn read_standings(&self, sessions: Vec<SessionRef>) -> Result<BTreeMap<String, Standing>> {
        self.0.db.read(async move |conn: &mut Conn<'_>| listing::standings(conn, &sessions).await).await
    }
}
