//! The dependencies of all work on sessions: database, clock, lifetimes, queued touches and keys.

use super::{
    cache::SessionCache,
    key_maker::KeyMaker,
    lifetimes::Lifetimes,
    record::Record,
    touch::{self, TouchQueue},
};
use crate::{
    base::{
        clock::Clock,
        db::{Db, TouchRow},
        error::Result,
        keys::{Keys, SealingKeys},
        settings::{SecondFactorRule, Settings},
    },
    records::mail::Letters,
};

/// The sessions of this instance. Cheap to clone: all clones share the database pool, the cache and the touch queue.
#[derive(Clone)]
pub struct Sessions {
    pub db: Db,
    pub clock: Clock,
    pub times: Lifetimes,
    /// Activity that is not written to the database yet.
    pub touches: TouchQueue,
    pub keys: KeyMaker,
    /// Live sessions in memory.
    pub cache: SessionCache,
    /// Queues mails about sign-ins and passwords.
    pub letters: Letters,
    /// Seal second factors at rest, and what a browser keeps for us.
    pub sealing: SealingKeys,
    /// Who must have a second factor.
    pub second_factor: SecondFactorRule,
}

impl Sessions {
    pub fn new(settings: &Settings, db: Db, keys: &Keys) -> Self {
        let cache = SessionCache::new(settings, db.coherence(), db.metrics());
        Self {
            db,
            cache,
            clock: Clock::default(),
            times: Lifetimes::from(settings),
            touches: TouchQueue::default(),
            keys: KeyMaker::new(keys.derivation()),
            letters: Letters::new(settings, keys),
            sealing: keys.sealing().clone(),
            second_factor: settings.second_factor,
        }
    }

    /// Writes a touch before the response is sent. Returns whether the session was still live.
    pub async fn touch_now(&self, row: TouchRow) -> Result<bool> {
        let id = row.id.clone();
        let is_live = touch::write(&self.db, vec![row]).await? == 1;
        self.cache.forget(&id);
        Ok(is_live)
    }

    /// Queues a touch. Every later request on this node sees it.
    pub fn queue_touch(&self, row: TouchRow) {
        self.cache.touch(&row);
        self.touches.push(row);
        self.db.metrics().touch_queued();
    }

    /// Applies the queued touches to the sessions, and sorts the sessions by latest activity, newest first.
    pub fn overlaid(&self, mut rows: Vec<(Record, Option<String>)>) -> Vec<(Record, Option<String>)> {
        for (record, _) in &mut rows {
            self.touches.overlay(record);
        }
        rows.sort_by(|(a, _), (b, _)| b.last_activity.cmp(&a.last_activity).then_with(|| a.id.cmp(&b.id)));
        rows
    }
}
