//! The node's hub: it hears what is announced on every node and passes it to the subscribers it concerns. `serve` runs
//! it; `live` subscribes.
//!
//! Invariant: after any gap in what it hears, every subscriber is looked up in the database.

pub(crate) mod subscription;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use tokio::sync::Notify;

use crate::base::{
    clock::Clock,
    db::{Conn, Db, Heard, Instant},
    error::{Away, EndedBecause, Error, Result},
};
use crate::records::{
    hub::subscription::{Mailbox, Pending, Subscription},
    news::News,
    session::{
        EndReason,
        listing::{self, Standing},
        request::{Ended, Hand},
        sweep,
    },
};

/// Streams that one session may have open: a browser has one, or one a tab where tabs cannot agree. The oldest goes.
const MOST_OF_A_SESSION: usize = 8;
/// Streams that one account may have open at most. The oldest goes.
const MOST_OF_AN_ACCOUNT: usize = 64;
/// Streams that a node may have open at most.
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

/// For how many streams there is room.
#[derive(Debug, Clone, Copy)]
struct Room {
    in_all: usize,
    of_an_account: usize,
    of_an_address: usize,
}

impl Room {
    /// Of so many connections a quarter is left for requests. No account takes more than a tenth, and no address more than
    /// a quarter of the streams: as many browsers as a large office has.
    fn within(connections: usize) -> Self {
        let in_all = MOST.min(connections / 4 * 3);
        Self {
            in_all,
            of_an_account: MOST_OF_AN_ACCOUNT.min(connections / 10).max(MOST_OF_A_SESSION),
            of_an_address: (in_all / 4).max(MOST_OF_A_SESSION),
        }
    }
}

/// Who listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The session's id.
    pub session: String,
    /// Its account.
    pub account: String,
    /// The network from which it listens, if that is known.
    pub network: Option<IpAddr>,
}

struct Inner {
    db: Db,
    room: Room,
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
    network: Option<IpAddr>,
    mailbox: Arc<Mailbox>,
    /// It has been told to close, and does not count any more.
    closes: bool,
}

impl Hub {
    /// A hub for a node with so many connections. It hears nothing until it [runs](Self::run).
    pub fn new(db: Db, clock: Clock, connections: usize) -> Self {
        let room = Room::within(connections);
        let (subscribers, look) = (Mutex::default(), Notify::new());
        let (hearing, on_known) = (AtomicU64::new(0), OnceLock::new());
        Self(Arc::new(Inner { db, room, clock, subscribers, look, hearing, on_known }))
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
        let mut subscribers = self.lock();
        if subscribers.closed {
            return Err(Error::unavailable(Away::Busy, "this node stops"));
        }
        if !subscribers.make_room(&listener, self.0.room) {
            return Err(Error::unavailable(Away::Busy, "too many open streams"));
        }
        subscribers.last += 1;
        let (number, mailbox) = (subscribers.last, Arc::new(Mailbox::default()));
        mailbox.put(Pending { look: true, ..Pending::default() });
        let Listener { session, account, network } = listener;
        let subscriber = Subscriber { session, account, network, mailbox: Arc::clone(&mailbox), closes: false };
        subscribers.all.insert(number, subscriber);
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
        let standings = self.read_standings(sessions.clone()).await?;
        let has_expired =
            |standing: &Standing| matches!(standing, Standing::Ended(ended) if ended.because == EndedBecause::Expired);
        let expired: Vec<String> =
            standings.iter().filter(|(_, standing)| has_expired(standing)).map(|(id, _)| id.clone()).collect();
        if expired.is_empty() {
            return Ok(standings);
        }
        // What is told to have expired has ended in its row first.
        self.0.db.write(async move |conn: &mut Conn<'_>| sweep::expire(conn, &expired).await).await?;
        self.read_standings(sessions).await
    }

    async fn read_standings(&self, sessions: Vec<String>) -> Result<BTreeMap<String, Standing>> {
        self.0.db.read(async move |conn: &mut Conn<'_>| listing::standings(conn, &sessions).await).await
    }

    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        self.0.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscribers {
    /// Sees to it that one more fits: the oldest streams of its session, its account and its address go over their shares;
    /// when all are full, the oldest one of whoever has the most. Whether it fits now.
    fn make_room(&mut self, listener: &Listener, room: Room) -> bool {
        self.keep_under(MOST_OF_A_SESSION, |one| one.session == listener.session);
        self.keep_under(room.of_an_account, |one| one.account == listener.account);
        if listener.network.is_some() {
            let is_here = |one: &Subscriber| one.network == listener.network;
            while self.count(is_here) >= room.of_an_address {
                // Who shares an address with somebody who opens many does not lose a stream for it.
                let Some((account, _)) = self.fullest(|one| is_here(one).then(|| one.account.clone())) else { break };
                self.close_oldest(|one| is_here(one) && one.account == account);
            }
        }
        if self.count(|_| true) < room.in_all {
            return true;
        }
        let (own, here) =
            (self.count(|one| one.account == listener.account), self.count(|one| one.network == listener.network));
        let account = self.fullest(|one| Some(one.account.clone())).filter(|(_, many)| *many > own.max(1));
        let network = self.fullest(|one| one.network).filter(|(_, many)| *many > here.max(1));
        match (account, network) {
            (Some((account, _)), _) => self.close_oldest(|one| one.account == account),
            (None, Some((network, _))) => self.close_oldest(|one| one.network == Some(network)),
            (None, None) => return false,
        }
        true
    }

    fn keep_under(&mut self, most: usize, of: impl Fn(&Subscriber) -> bool) {
        while self.count(&of) >= most.max(1) {
            self.close_oldest(&of);
        }
    }

    fn count(&self, of: impl Fn(&Subscriber) -> bool) -> usize {
        self.all.values().filter(|one| !one.closes && of(one)).count()
    }

    /// Who of those that `name` names has the most streams, and how many.
    fn fullest<Name: Eq + Hash>(&self, name: impl Fn(&Subscriber) -> Option<Name>) -> Option<(Name, usize)> {
        let mut counts = HashMap::new();
        for name in self.all.values().filter(|one| !one.closes).filter_map(name) {
            *counts.entry(name).or_insert(0) += 1;
        }
        counts.into_iter().max_by_key(|(_, many)| *many)
    }

    fn close_oldest(&mut self, of: impl Fn(&Subscriber) -> bool) {
        if let Some(oldest) = self.all.values_mut().find(|one| !one.closes && of(one)) {
            oldest.closes = true;
            oldest.mailbox.put(Pending { close: true, ..Pending::default() });
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
