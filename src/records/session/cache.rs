//! Live sessions in memory, so that a request needs no query. Used by [`lookup`](super::lookup).
//!
//! An entry holds what the one query of a request reads. It counts only while its stamp is current. Each account shares
//! one of 65,536 counters with a few others; the stamp is the counter's value from before the query. A change of an
//! account, or of its sessions or devices, increments the counter. So a change also invalidates entries that a query
//! under way is about to add.
//!
//! Invariant: memory can only say that a session lives. Whatever it cannot confirm is asked of the database: another
//! secret, an end, an expiry, an unknown session. It is used only while [`Coherence::may_answer`].

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use std::time::Duration;

use quick_cache::{Lifecycle, OptionsBuilder, Weighter, sync::Cache};

use super::{key::SessionKey, packed, stored::Stored};
use crate::{
    base::{
        coherence::{Change, Coherence},
        db::{Instant, TouchRow},
        metrics::{CachePresent, Metrics},
        settings::Settings,
    },
    records::news::News,
};

/// The number of counters. Two accounts that share one invalidate each other's entries, which costs a query.
const COUNTERS: usize = 1 << 16;
/// What an entry takes beside its packed bytes: its key, its place in the table, and the allocations' rounding.
const OVERHEAD: u64 = 160;
/// Roughly what an entry takes in all. Only sizes the table.
const USUAL: u64 = 512;
/// A session that expires this soon is asked of the database, whose clock decides.
const NEAR_EXPIRY: Duration = Duration::from_secs(5);

/// The cached sessions of this node. Cheap to clone; all clones share the entries.
#[derive(Clone)]
pub struct SessionCache(Arc<Shared>);

struct Shared {
    coherence: Coherence,
    entries: Cache<u128, Arc<Entry>, ByBytes, RandomState, CountEvictions>,
    /// Incremented when everything is invalid.
    epoch: AtomicU32,
    counters: Box<[AtomicU32]>,
    hasher: RandomState,
    metrics: Metrics,
}

struct Entry {
    stamp: Stamp,
    packed: Box<[u8]>,
}

/// The state of an account's counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    epoch: u32,
    changes: u32,
}

/// Weighs an entry by its size in memory.
#[derive(Clone)]
struct ByBytes;

impl Weighter<u128, Arc<Entry>> for ByBytes {
    fn weight(&self, _: &u128, entry: &Arc<Entry>) -> u64 {
        OVERHEAD + entry.packed.len() as u64
    }
}

#[derive(Clone)]
struct CountEvictions(Metrics);

impl Lifecycle<u128, Arc<Entry>> for CountEvictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: u128, _: Arc<Entry>) {
        self.0.cache_eviction();
    }
}

impl SessionCache {
    /// An empty cache. `coherence` empties it whenever something may have changed.
    pub fn new(settings: &Settings, coherence: &Coherence, metrics: &Metrics) -> Self {
        let most = if settings.session_cache { settings.session_cache_max } else { 0 };
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(usize::try_from(most / USUAL).unwrap_or(usize::MAX).max(1));
        options.weight_capacity(most).shards(16);
        let entries = match options.build() {
            Ok(options) => Cache::with_options(options, ByBytes, RandomState::new(), CountEvictions(metrics.clone())),
            // Cannot happen: both capacities are set.
            Err(_) => Cache::with(1, 0, ByBytes, RandomState::new(), CountEvictions(metrics.clone())),
        };
        let cache = Self(Arc::new(Shared {
            coherence: coherence.clone(),
            entries,
            epoch: AtomicU32::new(0),
            counters: (0..COUNTERS).map(|_| AtomicU32::new(0)).collect(),
            hasher: RandomState::new(),
            metrics: metrics.clone(),
        }));
        let hearing = Arc::downgrade(&cache.0);
        coherence.on_change(move |change| {
            if let Some(shared) = hearing.upgrade() {
                Self(shared).on_change(change);
            }
        });
        cache
    }

    /// The live session of a key, if memory can confirm it. `now` is the current time by the database's clock.
    pub(super) fn find(&self, key: &SessionKey, now: Instant) -> Option<Stored> {
        let account_id = key.account_id()?;
        if !self.0.coherence.may_answer() {
            return None;
        }
        let found = self.confirmed(key, account_id, now);
        self.0.metrics.cache_use(found.is_some());
        found
    }

    fn confirmed(&self, key: &SessionKey, account_id: &str, now: Instant) -> Option<Stored> {
        let entry = self.0.entries.get(&name(key.id())?)?;
        if entry.stamp != self.stamp(account_id) {
            return None;
        }
        let stored = packed::unpack(&entry.packed)?;
        let record = &stored.record;
        if record.id != key.id() || record.account_id != account_id || !key.secret().matches(&stored.secret_hash) {
            return None;
        }
        // The clock differs from the database's by a round trip. If it differs by more, the database decides.
        let behind = stored.now.since(now);
        if behind >= NEAR_EXPIRY || record.expires_at.since(now) <= NEAR_EXPIRY {
            return None;
        }
        Some(Stored { now: stored.now.max(now), ..stored })
    }

    /// The state of the account's counter. Read it before the query whose result is kept.
    pub(super) fn stamp(&self, account_id: &str) -> Stamp {
        let changes = self.counter(account_id).load(Ordering::Acquire);
        Stamp { epoch: self.0.epoch.load(Ordering::Acquire), changes }
    }

    /// Keeps a live session that was read after `stamp`.
    pub(super) fn keep(&self, stamp: Stamp, stored: &Stored) {
        let is_settled = stored.ended_at.is_none() && !stored.lineage.awaits_use();
        if !is_settled || !self.0.coherence.may_answer() {
            return;
        }
        if let (Some(name), Some(packed)) = (name(&stored.record.id), packed::pack(stored)) {
            self.0.entries.insert(name, Arc::new(Entry { stamp, packed }));
        }
    }

    /// Applies a touch of this node to the session's entry. Other nodes' touches are not announced.
    pub(super) fn touch(&self, row: &TouchRow) {
        let Some(name) = name(&row.id) else { return };
        let Some(entry) = self.0.entries.peek(&name) else { return };
        let Some(mut stored) = packed::unpack(&entry.packed) else { return };
        if stored.record.id != row.id || stored.record.last_activity >= row.at {
            return;
        }
        stored.record.last_activity = row.at;
        stored.record.expires_at = row.expires_at;
        stored.record.ip.clone_from(&row.ip);
        if let Some(packed) = packed::pack(&stored) {
            self.0.entries.insert(name, Arc::new(Entry { stamp: entry.stamp, packed }));
        }
    }

    /// Forgets a session, so that the next lookup asks the database.
    pub(super) fn forget(&self, id: &str) {
        if let Some(name) = name(id) {
            self.0.entries.remove(&name);
        }
    }

    /// Whether other nodes may have touched a session.
    pub(super) fn has_others(&self) -> bool {
        self.0.coherence.has_others()
    }

    /// The state of the cache, for metrics.
    pub fn present(&self) -> CachePresent {
        CachePresent {
            bytes: self.0.entries.weight(),
            sessions: self.0.entries.len(),
            has_lease: self.0.coherence.may_answer(),
        }
    }

    fn on_change(&self, change: Change<'_>) {
        let Change::Announced(text) = change else { return self.clear() };
        match News::heard(text) {
            News::Ended { of, .. } => self.changed(of.keys()),
            News::Accounts { of } => self.changed(of.iter()),
            News::Rotated { account, .. } => self.changed(std::iter::once(&account)),
            News::Many => self.clear(),
            News::Changed { .. } | News::Drafts { .. } | News::Fence => {}
        }
    }

    fn changed<'a>(&self, accounts: impl Iterator<Item = &'a String>) {
        accounts.for_each(|account| {
            self.counter(account).fetch_add(1, Ordering::AcqRel);
        });
    }

    fn clear(&self) {
        self.0.epoch.fetch_add(1, Ordering::AcqRel);
        self.0.entries.clear();
    }

    fn counter(&self, account_id: &str) -> &AtomicU32 {
        let hash = self.0.hasher.hash_one(account_id) as usize;
        &self.0.counters[hash % COUNTERS]
    }
}

/// The random part of a session's id as a number. `None` if it does not have the usual form.
fn name(id: &str) -> Option<u128> {
    super::key::random_part(id)
}
