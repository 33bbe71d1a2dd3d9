//! The shared state of a running node: its lease, the changes that wait for confirmations, and the confirmations that it
//! still has to send.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::Notify;

use super::{
    announcements::Announcements,
    confirmations::{Confirmations, PATIENCE},
    lease::{Lease, Renewal},
    moment::Moment,
};
use crate::base::{error::Result, metrics::Metrics, secret};

/// Length of a node's name in characters: 72 random bits.
const NAME: usize = 12;
/// Maximum number of confirmations that wait to be sent. Further ones are dropped: their changes then wait their full
/// time.
const MOST_UNSENT: usize = 10_000;

/// A change that may concern the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// An announced text, which the records interpret.
    Announced(&'a str),
    /// Announcements may have been missed: everything.
    Everything,
}

/// Names an announcement whose committing node waits for confirmations: `<node>.<number>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub node: String,
    pub number: u64,
}

impl Tag {
    pub fn parse(text: &str) -> Option<Self> {
        let (node, number) = text.split_once('.')?;
        Some(Self { node: node.to_owned(), number: number.parse().ok()? })
    }
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.node, self.number)
    }
}

type Hook = Box<dyn Fn(Change<'_>) + Send + Sync>;
type Check = Box<dyn Fn(Moment) -> bool + Send + Sync>;

/// The handle. Cheap to clone; all clones share one state.
#[derive(Clone)]
pub struct Coherence(Arc<Shared>);

struct Shared {
    name: String,
    caches: bool,
    lease: Mutex<(Lease, Announcements)>,
    /// How often this node has started to listen, and the last such start after which it added its row.
    started: AtomicU64,
    joined: AtomicU64,
    /// The end of the lease in nanoseconds; 0 without a lease. Read on every use of the cache.
    until: AtomicU64,
    check: OnceLock<Check>,
    closed: AtomicBool,
    has_others: AtomicBool,
    hooks: RwLock<Vec<Hook>>,
    last_number: AtomicU64,
    waiting: Mutex<BTreeMap<u64, (Confirmations, Arc<Notify>)>>,
    unsent: Mutex<Vec<Tag>>,
    to_send: Notify,
    fence: tokio::sync::Mutex<Moment>,
    metrics: Metrics,
}

impl Coherence {
    /// A node with a new random name. It answers from memory only if `caches`, and once it has heard a beat.
    ///
    /// # Errors
    /// When the operating system cannot supply random bytes.
    pub fn new(caches: bool, metrics: Metrics) -> Result<Self> {
        let name: String = secret::random_name("")?.chars().take(NAME).collect();
        Ok(Self(Arc::new(Shared {
            name,
            caches,
            lease: Mutex::default(),
            started: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            until: AtomicU64::new(0),
            check: OnceLock::new(),
            closed: AtomicBool::new(false),
            has_others: AtomicBool::new(true),
            hooks: RwLock::default(),
            last_number: AtomicU64::new(0),
            waiting: Mutex::default(),
            unsent: Mutex::default(),
            to_send: Notify::new(),
            fence: tokio::sync::Mutex::default(),
            metrics,
        })))
    }

    /// This node's name in `nodes` and in messages.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether this node may cache at all.
    pub fn caches(&self) -> bool {
        self.0.caches
    }

    /// Adds what happens on a change, before the change is confirmed or acknowledged. The hook must not block.
    pub fn on_change(&self, hook: impl Fn(Change<'_>) + Send + Sync + 'static) {
        self.0.hooks.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    /// Sets a condition of the engine for answers from memory, besides the lease. It must not block.
    pub fn require(&self, check: impl Fn(Moment) -> bool + Send + Sync + 'static) {
        let _ = self.0.check.set(Box::new(check));
    }

    /// Whether this node may answer from memory now.
    pub fn may_answer(&self) -> bool {
        let now = Moment::now();
        now.nanos() < self.0.until.load(Ordering::Acquire) && self.0.check.get().is_none_or(|check| check(now))
    }

    /// Whether other nodes may have changed what this node remembers without announcing it: their touches.
    pub fn has_others(&self) -> bool {
        self.0.has_others.load(Ordering::Relaxed)
    }

    pub fn set_has_others(&self, has_others: bool) {
        self.0.has_others.store(has_others, Ordering::Relaxed);
    }

    /// Notes that a beat is sent now, and returns its number.
    pub fn send_beat(&self) -> u64 {
        lock(&self.0.lease).0.send(Moment::now())
    }

    /// A beat that was sent has read the number of the last announcement. Call this before the beat is sent on.
    pub fn read_number(&self, number: u64) {
        lock(&self.0.lease).1.read(number);
    }

    /// The announcement with this number was applied to this node's memory.
    pub fn hear_number(&self, number: u64) {
        if self.0.caches {
            lock(&self.0.lease).1.hear(number);
        }
    }

    /// Hears an announcement whose sender needs to know that this node has heard, or needs no more, all those before it.
    pub fn hear_fence(&self, number: u64) {
        if !self.0.caches {
            return;
        }
        let (_, announcements) = &mut *lock(&self.0.lease);
        if announcements.misses_before(number) {
            self.tell(Change::Everything);
            announcements.catch_up_to(number);
        }
        announcements.hear(number);
    }

    /// Extends the lease by a beat that was heard.
    pub fn hear_beat(&self, number: u64) {
        if !self.0.caches || self.0.closed.load(Ordering::Acquire) || self.must_join().is_some() {
            return;
        }
        let (lease, announcements) = &mut *lock(&self.0.lease);
        let renewal = lease.hear(number, Moment::now(), announcements);
        if renewal == Renewal::Ignored {
            return;
        }
        if renewal == Renewal::Regained {
            self.tell(Change::Everything);
        }
        self.0.until.store(lease.until().unwrap_or_default().nanos(), Ordering::Release);
    }

    /// Ends the lease and empties the cache: announcements may have been missed, or this node's row is gone.
    pub fn lose(&self) {
        let (lease, _) = &mut *lock(&self.0.lease);
        lease.lose();
        self.0.until.store(0, Ordering::Release);
        self.tell(Change::Everything);
    }

    /// Ends the lease when the returned guard is dropped: this node does not listen any more.
    pub fn lose_on_drop(&self) -> impl Drop + use<> {
        struct Lose(Coherence);
        impl Drop for Lose {
            fn drop(&mut self) {
                self.0.lose();
            }
        }
        Lose(self.clone())
    }

    /// Empties the cache. Called when listening starts. No beat counts until this node has added its row anew.
    pub fn start_over(&self) {
        self.0.started.fetch_add(1, Ordering::AcqRel);
        self.tell(Change::Everything);
    }

    /// The start of listening after which this node has not added its row yet.
    pub fn must_join(&self) -> Option<u64> {
        let started = self.0.started.load(Ordering::Acquire);
        (self.0.joined.load(Ordering::Acquire) != started).then_some(started)
    }

    /// This node has added its row after this start of listening.
    pub fn note_joined(&self, start: u64) {
        self.0.joined.store(start, Ordering::Release);
    }

    /// Ends the lease for good: the node is stopping.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.lose();
    }

    /// Whether the lease has ended for good.
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Applies an announced change to this node's memory. When this returns, no request that starts later is answered
    /// with what was there before.
    pub fn change(&self, text: &str) {
        self.tell(Change::Announced(text));
    }

    /// Hears an announcement, and confirms it soon if another node waits for that.
    pub fn hear(&self, tag: Option<Tag>, text: &str) {
        self.change(text);
        let Some(tag) = tag.filter(|tag| tag.node != self.0.name && self.0.caches) else { return };
        let mut unsent = lock(&self.0.unsent);
        if unsent.len() < MOST_UNSENT {
            unsent.push(tag);
        }
        drop(unsent);
        self.0.to_send.notify_one();
    }

    /// Waits until there are confirmations to send, and takes them. Cancel safe.
    pub async fn confirmations(&self) -> Vec<Tag> {
        loop {
            let unsent = std::mem::take(&mut *lock(&self.0.unsent));
            if !unsent.is_empty() {
                return unsent;
            }
            self.0.to_send.notified().await;
        }
    }

    /// Begins a change whose announcement will carry the returned wait's tag.
    pub fn begin(&self) -> Wait {
        let number = self.0.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let notify = Arc::new(Notify::new());
        lock(&self.0.waiting).insert(number, (Confirmations::default(), Arc::clone(&notify)));
        Wait { of: self.clone(), number, notify }
    }

    /// A node confirms the change with this number.
    pub fn hear_confirmation(&self, number: u64, node: &str) {
        if let Some((change, notify)) = lock(&self.0.waiting).get_mut(&number) {
            change.confirm(node);
            notify.notify_one();
        }
    }

    /// Runs `fence`, unless another call has begun one after this call began. Many callers at once share one fence.
    ///
    /// # Errors
    /// Those of the fence.
    pub async fn fence(&self, fence: impl Future<Output = Result<()>>) -> Result<()> {
        let began = Moment::now();
        let mut last = self.0.fence.lock().await;
        if *last >= began {
            return Ok(());
        }
        let now = Moment::now();
        fence.await?;
        *last = now;
        Ok(())
    }

    fn tell(&self, change: Change<'_>) {
        self.0.hooks.read().unwrap_or_else(PoisonError::into_inner).iter().for_each(|hook| hook(change));
    }
}

/// A change that waits for its confirmations. Dropping it ends the wait.
pub struct Wait {
    of: Coherence,
    number: u64,
    notify: Arc<Notify>,
}

impl Wait {
    /// The tag of the change's announcements.
    pub fn tag(&self) -> Tag {
        Tag { node: self.of.0.name.clone(), number: self.number }
    }

    /// Notes a confirmation that arrived outside of [`Coherence::hear_confirmation`].
    pub fn confirm(&self, node: &str) {
        self.of.hear_confirmation(self.number, node);
    }

    /// Waits until all of `nodes` have confirmed, or [`PATIENCE`] after `committed`. Returns the nodes that have not.
    pub async fn finish(self, committed: Moment, nodes: BTreeSet<String>) -> BTreeSet<String> {
        self.of.set_has_others(!nodes.is_empty());
        if nodes.is_empty() {
            return nodes;
        }
        if let Some((change, _)) = lock(&self.of.0.waiting).get_mut(&self.number) {
            change.need(committed, nodes);
        }
        let began = Moment::now();
        let missing = loop {
            match lock(&self.of.0.waiting).get(&self.number) {
                None => break BTreeSet::new(),
                Some((change, _)) if change.is_over(Moment::now()) => break change.missing(),
                Some(_) => {}
            }
            let rest = PATIENCE.saturating_sub(Moment::now().since(committed));
            let _ = tokio::time::timeout(rest, self.notify.notified()).await;
        };
        self.of.0.metrics.change_waited(Moment::now().since(began));
        missing
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        lock(&self.of.0.waiting).remove(&self.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
