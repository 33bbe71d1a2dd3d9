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

use super::{grants::key::GrantKey, key::SessionKey, packed, stored::Stored};
use crate::{
    base::{
        coherence::{Change, Coherence},
        db::{Instant, TouchRow},
        metrics::{CachePresent, Metrics},
        secret::Secret,
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
    /// The grant, if the entry is found by a grant's key and not by the session's. The session then has the hash of the
    /// grant's secret.
    grant: Option<Grant>,
    packed: Box<[u8]>,
}

#[derive(Clone)]
struct Grant {
    app_id: Box<str>,
    opened_at: Instant,
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
        let app = entry.grant.as_ref().map_or(0, |grant| grant.app_id.len());
        OVERHEAD + (entry.packed.len() + app) as u64
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
        let found = name(key.id()).and_then(|name| self.confirmed(name, (account_id, key.secret()), now));
        let found = found.filter(|(entry, stored)| entry.grant.is_none() && stored.record.id == key.id());
        self.0.metrics.cache_use(found.is_some());
        found.map(|(_, stored)| stored)
    }

    /// The app of a grant, the time at which it was opened, and its live session, if memory can confirm it.
    pub(super) fn find_grant(&self, key: &GrantKey, now: Instant) -> Option<(String, Instant, Stored)> {
        if !self.0.coherence.may_answer() {
            return None;
        }
        let found = key.as_number().and_then(|name| self.confirmed(name, (key.account_id(), key.secret()), now));
        let found = found.and_then(|(entry, stored)| Some((entry.grant.clone()?, stored)));
        self.0.metrics.cache_use(found.is_some());
        found.map(|(Grant { app_id, opened_at }, stored)| (app_id.into(), opened_at, stored))
    }

    fn confirmed(&self, name: u128, held: (&str, &Secret), now: Instant) -> Option<(Arc<Entry>, Stored)> {
        let (account_id, secret) = held;
        let entry = self.0.entries.get(&name)?;
        if entry.stamp != self.stamp(account_id) {
            return None;
        }
        let stored = packed::unpack(&entry.packed)?;
        let record = &stored.record;
        if record.account_id != account_id || !secret.matches(&stored.secret_hash) {
            return None;
        }
        // The clock differs from the database's by a round trip. If it differs by more, the database decides.
        let behind = stored.now.since(now);
        if behind >= NEAR_EXPIRY || record.expires_at.since(now) <= NEAR_EXPIRY {
            return None;
        }
        let stored = Stored { now: stored.now.max(now), ..stored };
        Some((entry, stored))
    }

    /// The state of the account's counter. Read it before the query whose result is kept.
    pub(super) fn stamp(&self, account_id: &str) -> Stamp {
        let changes = self.counter(account_id).load(Ordering::Acquire);
        Stamp { epoch: self.0.epoch.load(Ordering::Acquire), changes }
    }

    /// Keeps a live session that was read after `stamp`.
    pub(super) fn keep(&self, stamp: Stamp, stored: &Stored) {
        let is_settled = !stored.has_ended() && !stored.lineage.awaits_use();
        if !is_settled || !self.0.coherence.may_answer() {
            return;
        }
        if let (Some(name), Some(packed)) = (name(&stored.record.id), packed::pack(stored)) {
            self.0.entries.insert(name, Arc::new(Entry { stamp, grant: None, packed }));
        }
    }

    /// Keeps a grant whose session is live, and which was read after `stamp`. The session's own key is not kept with it.
    pub(super) fn keep_grant(&self, stamp: Stamp, key: &GrantKey, app: (&str, Instant), stored: &Stored) {
        if stored.has_ended() || !self.0.coherence.may_answer() {
            return;
        }
        if let (Some(name), Some(packed)) = (key.as_number(), packed::pack_without_state(stored)) {
            let grant = Some(Grant { app_id: app.0.into(), opened_at: app.1 });
            self.0.entries.insert(name, Arc::new(Entry { stamp, grant, packed }));
        }
    }

    /// Applies a touch of this node to the session's entry. Other nodes' touches are not announced.
    pub(super) fn touch(&self, row: &TouchRow) {
        if let Some(name) = name(&row.id) {
            self.touch_entry(name, row);
        }
    }

    /// Applies a touch to the entry of a grant of the session.
    pub(super) fn touch_grant(&self, key: &GrantKey, row: &TouchRow) {
        if let Some(name) = key.as_number() {
            self.touch_entry(name, row);
        }
    }

    fn touch_entry(&self, name: u128, row: &TouchRow) {
        let Some(entry) = self.0.entries.peek(&name) else { return };
        let Some(mut stored) = packed::unpack(&entry.packed) else { return };
        if stored.record.id != row.id || stored.record.last_activity >= row.at {
            return;
        }
        stored.record.last_activity = row.at;
        stored.record.expires_at = row.expires_at;
        stored.record.ip.clone_from(&row.ip);
        if let Some(packed) = packed::pack(&stored) {
            let grant = entry.grant.clone();
            self.0.entries.insert(name, Arc::new(Entry { stamp: entry.stamp, grant, packed }));
        }
    }

    /// Forgets a session, so that the next lookup asks the database.
    pub(super) fn forget(&self, id: &str) {
        if let Some(name) = name(id) {
            self.0.entries.remove(&name);
        }
    }

    pub(super) fn forget_grant(&self, key: &GrantKey) {
        if let Some(name) = key.as_number() {
            self.0.entries.remove(&name);
        }
    }

    /// Forgets the sessions of an account, and what queries under way read of them. Whoever reports an end that it found
    /// in the database calls this: the announcement of the end may not have reached this node yet.
    pub(super) fn forget_account(&self, account_id: &str) {
        self.counter(account_id).fetch_add(1, Ordering::AcqRel);
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
            News::Changed { .. } | News::Drafts { .. } | News::Apps | News::Fence => {}
        }
    }

    fn changed<'a>(&self, accounts: impl Iterator<Item = &'a String>) {
        accounts.for_each(|account| self.forget_account(account));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::{coherence::Tag, settings::SettingsArgs},
        records::{
            account::{Account, Role},
            device::Shape,
            session::{record::Record, stored::Lineage},
        },
    };

    const ACCOUNT: &str = "acc_0123456789abcdefghijkl";

    fn at(seconds: i64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn cache() -> (SessionCache, Coherence) {
        let settings = SettingsArgs::default().check(std::iter::empty()).unwrap();
        let metrics = Metrics::default();
        let coherence = Coherence::new(true, metrics.clone()).unwrap();
        let cache = SessionCache::new(&settings, &coherence, &metrics);
        coherence.hear_beat(coherence.send_beat());
        (cache, coherence)
    }

    fn session() -> (SessionKey, Stored) {
        let key = SessionKey::generate(ACCOUNT, at(1000)).unwrap();
        let record = Record {
            id: key.id().to_owned(),
            account_id: ACCOUNT.to_owned(),
            device_id: Some("dev_1".to_owned()),
            created_at: at(1000),
            authenticated_at: at(1001),
            last_activity: at(1002),
            expires_at: at(2000),
            absolute_expires_at: at(3000),
            ip: None,
            browser: "Firefox".to_owned(),
            os: String::new(),
            kind: Shape::Phone,
            installed: true,
            version: 3,
            sid: Some("aiq_900_0123456789abcdefghijkl".to_owned()),
            amr: Some("pwd otp mfa".to_owned()),
            second_factor_at: Some(at(1001)),
        };
        let account = Account {
            id: ACCOUNT.to_owned(),
            email: "kim@example.com".to_owned(),
            name: "Kim".to_owned(),
            role: Role::Owner,
            time_zone: None,
            groups: "Till staff,Night".to_owned(),
            second_factors: 2,
            factor_reset_at: Some(Instant::from_micros(7)),
        };
        let stored = Stored {
            record,
            account,
            device_name: Some("Till".to_owned()),
            secret_hash: key.secret().hash(),
            state: serde_json::json!({"cart": "[1]"}),
            ended_at: None,
            is_outdated: false,
            ended_reason: None,
            ended_by: None,
            used_after_end_at: None,
            password_changed_at: at(900),
            lineage: Lineage { previous_id: None, key_nonce: None, key_used_at: None },
            device_secret: None,
            previous_device_secret: None,
            now: at(1500),
        };
        (key, stored)
    }

    fn keep(cache: &SessionCache, stored: &Stored) {
        cache.keep(cache.stamp(ACCOUNT), stored);
    }

    #[test]
    fn a_session_is_found_as_it_was_kept() {
        let (cache, _) = cache();
        let (key, stored) = session();
        assert!(cache.find(&key, at(1500)).is_none());
        keep(&cache, &stored);
        let found = cache.find(&key, at(1600)).unwrap();
        assert_eq!((&found.record, &found.account, &found.state), (&stored.record, &stored.account, &stored.state));
        assert_eq!((found.device_name, found.password_changed_at), (stored.device_name, stored.password_changed_at));
        assert_eq!(found.now, at(1600));
    }

    #[test]
    fn another_secret_or_account_is_not_confirmed() {
        let (cache, _) = cache();
        let (key, stored) = session();
        keep(&cache, &stored);
        let other = SessionKey::generate(ACCOUNT, at(1000)).unwrap();
        let forged = SessionKey::from_parts(ACCOUNT, key.id().to_owned(), other.secret().clone());
        assert!(cache.find(&forged, at(1500)).is_none());
        assert!(cache.find(&key.with_account("acc_another"), at(1500)).is_none());
        assert!(cache.find(&key, at(1500)).is_some());
    }

    #[test]
    fn a_session_near_its_expiry_is_not_confirmed() {
        let (cache, _) = cache();
        let (key, stored) = session();
        keep(&cache, &stored);
        assert!(cache.find(&key, at(1994)).is_some());
        assert!(cache.find(&key, at(1995)).is_none() && cache.find(&key, at(9999)).is_none());
        assert!(cache.find(&key, at(1494)).is_none(), "the clock is behind the database's");
    }

    #[test]
    fn an_ended_session_and_an_unused_key_are_not_kept() {
        let (cache, _) = cache();
        let (key, stored) = session();
        keep(&cache, &Stored { ended_at: Some(at(1400)), ..session().1 });
        let lineage = Lineage { previous_id: None, key_nonce: Some("n".to_owned()), key_used_at: None };
        keep(&cache, &Stored { lineage, ..stored });
        assert!(cache.find(&key, at(1500)).is_none());
    }

    #[test]
    fn every_announcement_about_an_account_invalidates_its_sessions() {
        let announcements = [
            format!(r#"{{"what":"ended","reason":"revoked","of":{{"{ACCOUNT}":["aiq_1"]}}}}"#),
            format!(r#"{{"what":"rotated","account":"{ACCOUNT}","was":"aiq_1"}}"#),
            format!(r#"{{"what":"accounts","of":["{ACCOUNT}"]}}"#),
            r#"{"what":"many"}"#.to_owned(),
            "a message of a later version".to_owned(),
        ];
        for text in announcements {
            let (cache, coherence) = cache();
            let (key, stored) = session();
            keep(&cache, &stored);
            let stamp = cache.stamp(ACCOUNT);
            coherence.hear(Some(Tag { node: "x".to_owned(), number: 1 }), &text);
            assert!(cache.find(&key, at(1500)).is_none(), "{text}");
            cache.keep(stamp, &stored);
            assert!(cache.find(&key, at(1500)).is_none(), "read before the change: {text}");
            keep(&cache, &stored);
            assert!(cache.find(&key, at(1500)).is_some(), "read after the change: {text}");
        }
    }

    #[test]
    fn nothing_is_answered_without_a_lease_or_from_before_a_gap() {
        let (cache, coherence) = cache();
        let (key, stored) = session();
        keep(&cache, &stored);
        coherence.lose();
        assert!(cache.find(&key, at(1500)).is_none());
        keep(&cache, &stored);
        coherence.hear_beat(coherence.send_beat());
        assert!(cache.find(&key, at(1500)).is_none(), "the node starts with an empty memory");
        keep(&cache, &stored);
        assert!(cache.find(&key, at(1500)).is_some());
        coherence.close();
        coherence.hear_beat(coherence.send_beat());
        assert!(cache.find(&key, at(1500)).is_none(), "a node that stops gets no lease any more");
    }

    #[test]
    fn a_reported_end_is_forgotten_before_it_is_announced() {
        let (cache, _) = cache();
        let (key, stored) = session();
        let stamp = cache.stamp(ACCOUNT);
        keep(&cache, &stored);
        cache.forget_account(ACCOUNT);
        assert!(cache.find(&key, at(1500)).is_none());
        cache.keep(stamp, &stored);
        assert!(cache.find(&key, at(1500)).is_none(), "read before the report");
    }

    #[test]
    fn a_touch_of_this_node_is_seen() {
        let (cache, _) = cache();
        let (key, stored) = session();
        keep(&cache, &stored);
        let row = TouchRow {
            account_id: ACCOUNT.to_owned(),
            id: key.id().to_owned(),
            at: at(1700),
            expires_at: at(2700),
            ip: Some("192.0.2.1".to_owned()),
        };
        cache.touch(&row);
        cache.touch(&TouchRow { at: at(1650), expires_at: at(2650), ..row });
        let record = cache.find(&key, at(2500)).unwrap().record;
        assert_eq!((record.last_activity, record.expires_at), (at(1700), at(2700)));
        assert_eq!(record.ip.as_deref(), Some("192.0.2.1"));
    }
}
