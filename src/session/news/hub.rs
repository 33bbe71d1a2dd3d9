//! The node's hub: it hears what is announced on every node and passes it to the subscribers it concerns. `serve` runs
//! it; `live` subscribes.
//!
//! Invariant: after any gap in what it hears, every subscriber is looked up in the database.

use std::collections::{BTreeMap, HashSet};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use tokio::sync::Notify;

use super::{
    super::{
        EndReason, listing,
        listing::Standing,
        request::{Ended, Hand},
    },
    News,
    subscription::{Mailbox, Pending, Subscription},
};
use crate::{
    clock::Clock,
    db::{Conn, Db, Heard, Instant},
    error::{Away, Error, Result},
};

/// Streams that one session may have open: a browser has one, or one a tab where tabs cannot agree. The oldest goes.
const MOST_OF_A_SESSION: usize = 8;
/// Streams that one account may have open. The oldest goes.
const MOST_OF_AN_ACCOUNT: usize = 100;
/// Streams that a node may have open: of its connections some must be left for requests.
const MOST: usize = 1_500;
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
    clock: Clock,
    subscribers: Mutex<Subscribers>,
    look: Notify,
    /// Odd while everything is heard; grows when that begins and when it stops.
    hearing: AtomicU64,
    on_known: OnceLock<Box<dyn Fn(Duration) + Send + Sync>>,
}

#[derive(Default)]
struct Subscribers {
    last: u64,
    closed: bool,
    /// By number, so that the oldest comes first.
    all: BTreeMap<u64, Subscriber>,
    gap: bool,
}

struct Subscriber {
    session: String,
    account: String,
    mailbox: Arc<Mailbox>,
}

impl Hub {
    /// A hub that hears nothing until it [runs](Self::run).
    pub fn new(db: Db, clock: Clock) -> Self {
        let (subscribers, look) = (Mutex::default(), Notify::new());
        let (hearing, on_known) = (AtomicU64::new(0), OnceLock::new());
        Self(Arc::new(Inner { db, clock, subscribers, look, hearing, on_known }))
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
    /// [`Error::Unavailable`] once the node stops, and while it has 1,500 subscribers.
    pub fn subscribe(&self, session: &str, account: &str) -> Result<Subscription> {
        let mut subscribers = self.lock();
        if subscribers.closed {
            return Err(Error::unavailable(Away::Busy, "this node stops"));
        }
        if subscribers.all.len() >= MOST {
            return Err(Error::unavailable(Away::Busy, "too many open streams"));
        }
        subscribers.make_room(session, account);
        subscribers.last += 1;
        let (number, mailbox) = (subscribers.last, Arc::new(Mailbox::default()));
        mailbox.put(Pending { look: true, ..Pending::default() });
        let (session, account) = (session.to_owned(), account.to_owned());
        subscribers.all.insert(number, Subscriber { session, account, mailbox: Arc::clone(&mailbox) });
        Ok(Subscription { hub: self.clone(), number, mailbox })
    }

    /// How many subscribers there are.
    pub fn subscribers(&self) -> usize {
        self.lock().all.len()
    }

    /// Ends every stream and takes no more: the node stops.
    pub fn close(&self) {
        let mut subscribers = self.lock();
        subscribers.closed = true;
        for subscriber in subscribers.all.values() {
            subscriber.mailbox.put(Pending { close: true, ..Pending::default() });
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
    pub async fn standing(&self, session: &str) -> Result<Option<Standing>> {
        Ok(self.standings(vec![session.to_owned()]).await?.remove(session))
    }

    /// The present, as the database sees it.
    pub fn now(&self) -> Instant {
        self.0.clock.now()
    }

    pub(super) fn leave(&self, number: u64) {
        self.lock().all.remove(&number);
    }

    fn hear(&self, heard: Heard) {
        match heard {
            Heard::Sure => {
                self.0.hearing.fetch_or(1, Ordering::AcqRel);
                self.lock().gap = true;
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
                self.lock().end(&of, EndReason::from_word(&reason).unwrap_or(EndReason::Revoked), at);
                if let Some(at) = at {
                    self.known_after(self.now().since(at));
                }
            }
            News::Many => {
                self.lock().gap = true;
                self.0.look.notify_one();
            }
            News::Rotated { account, was } => {
                let rotated = Pending { rotated: true, ..Pending::default() };
                let sessions = Pending { sessions: true, ..Pending::default() };
                self.lock().of(&account, |session| if session == was { rotated.clone() } else { sessions.clone() });
            }
            News::Changed { account } => {
                self.lock().of(&account, |_| Pending { sessions: true, ..Pending::default() });
            }
            News::Drafts { account } => {
                self.lock().of(&account, |_| Pending { drafts: true, ..Pending::default() });
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
            let mut subscribers = self.lock();
            let sessions: Vec<String> = subscribers.all.values().map(|one| one.session.clone()).collect();
            (std::mem::take(&mut subscribers.gap), sessions)
        };
        for batch in sessions.chunks(BATCH) {
            match self.standings(batch.to_vec()).await {
                Ok(standings) => self.lock().settle(batch, &standings, gap),
                Err(error) => {
                    self.lock().gap |= gap;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn standings(&self, sessions: Vec<String>) -> Result<BTreeMap<String, Standing>> {
        self.0.db.read(async move |conn: &mut Conn<'_>| listing::standings(conn, &sessions).await).await
    }

    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        self.0.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscribers {
    fn make_room(&self, session: &str, account: &str) {
        let close = Pending { close: true, ..Pending::default() };
        let of_session: Vec<_> = self.all.values().filter(|one| one.session == session).collect();
        let of_account: Vec<_> = self.all.values().filter(|one| one.account == account).collect();
        for (some, most) in [(of_session, MOST_OF_A_SESSION), (of_account, MOST_OF_AN_ACCOUNT)] {
            let too_many = (some.len() + 1).saturating_sub(most);
            some.iter().take(too_many).for_each(|one| one.mailbox.put(close.clone()));
        }
    }

    fn of(&self, account: &str, news: impl Fn(&str) -> Pending) {
        for one in self.all.values().filter(|one| one.account == account) {
            one.mailbox.put(news(&one.session));
        }
    }

    fn end(&self, of: &BTreeMap<String, Vec<String>>, reason: EndReason, at: Option<Instant>) {
        // By whose hand is told by the row, to the login page.
        let ended = Ended { because: reason.told(), at, hand: Hand::None };
        let ended = Pending { ended: Some(ended), ..Pending::default() };
        let others = Pending { sessions: true, ..Pending::default() };
        for one in self.all.values() {
            if let Some(sessions) = of.get(&one.account) {
                one.mailbox.put(if sessions.contains(&one.session) { ended.clone() } else { others.clone() });
            }
        }
    }

    fn settle(&self, looked_up: &[String], standings: &BTreeMap<String, Standing>, gap: bool) {
        let looked_up: HashSet<&String> = looked_up.iter().collect();
        for one in self.all.values().filter(|one| looked_up.contains(&one.session)) {
            one.mailbox.put(match standings.get(&one.session) {
                None => Pending { rotated: true, ..Pending::default() },
                Some(Standing::Ended(ended)) => Pending { ended: Some(*ended), ..Pending::default() },
                Some(Standing::Live { .. }) => Pending { sessions: gap, drafts: gap, ..Pending::default() },
            });
        }
    }
}
