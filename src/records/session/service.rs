//! What all work on sessions shares: the database, the clock, the lifetimes, the touches that wait, and the keys.

use super::{
    key_maker::KeyMaker,
    lifetimes::Lifetimes,
    record::Record,
    touch::{self, TouchQueue},
};
use crate::base::{
    clock::Clock,
    db::{Db, TouchRow},
    error::Result,
    keys::Keys,
    settings::Settings,
};

/// The sessions of this instance. Cheap to clone; all clones share the pool and the queue of touches.
#[derive(Clone)]
pub struct Sessions {
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: Clock,
    /// How long sessions last.
    pub times: Lifetimes,
    /// The activity that is not written yet.
    pub touches: TouchQueue,
    /// Who makes keys.
    pub keys: KeyMaker,
}

impl Sessions {
    /// The sessions in an open database.
    pub fn new(settings: &Settings, db: Db, keys: &Keys) -> Self {
        Self {
            db,
            clock: Clock::default(),
            times: Lifetimes::from(settings),
            touches: TouchQueue::default(),
            keys: KeyMaker::new(keys.derivation()),
        }
    }

    /// Writes a touch before its answer; whether the session still lived.
    pub async fn touch_now(&self, row: TouchRow) -> Result<bool> {
        Ok(touch::write(&self.db, vec![row]).await? == 1)
    }

    /// Sessions as they will be once their touches are written, newest activity first.
    pub fn overlaid(&self, mut rows: Vec<(Record, Option<String>)>) -> Vec<(Record, Option<String>)> {
        for (record, _) in &mut rows {
            self.touches.overlay(record);
        }
        rows.sort_by(|(one, _), (other, _)| {
            other.last_activity.cmp(&one.last_activity).then_with(|| one.id.cmp(&other.id))
        });
        rows
    }
}
