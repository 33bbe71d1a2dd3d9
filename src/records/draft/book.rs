//! The semantics of operations on drafts. A [`Book`] holds an account's drafts in memory during a transaction and
//! applies operations to them. No I/O. Called by [`sync`](crate::actions::sync).
//!
//! Invariant: a put either builds on the stored version, returns the stored draft unchanged, is rejected, or becomes a
//! new draft.

use std::collections::{BTreeMap, BTreeSet};

use super::stored::{Draft, MOST, is_before};
use crate::base::{
    db::Instant,
    error::{Error, Result},
    secret,
};

/// The drafts of an account that the operations of one call refer to.
#[derive(Debug)]
pub struct Book {
    drafts: BTreeMap<String, Draft>,
    changed: BTreeSet<String>,
    pub revision: i64,
    usage: Usage,
    room: u64,
    moment: Moment,
    /// The name of the device that makes the changes.
    pub device_name: String,
    /// Whether a draft was created or deleted, not only edited.
    pub is_more_than_edited: bool,
}

/// The time and version floor of a transaction that changes drafts.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now: Instant,
    /// All versions created in the current history are greater than this.
    pub version_floor: i64,
}

/// A draft and the conflicting draft that was split off it, each with the version that the person saw.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The original draft.
    pub one: String,
    pub version: i64,
    /// The draft that was split off it.
    pub other: String,
    pub other_version: i64,
}

/// How much an account stores in drafts that are not deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The number of drafts.
    pub drafts: i64,
    /// The size of their texts in bytes.
    pub bytes: u64,
}

/// The outcome of an operation.
#[derive(Debug)]
pub enum Outcome {
    /// The operation was applied. Contains the draft if the operation was a put.
    Applied(Option<Draft>),
    /// The draft was changed by another client. For a put, contains the new draft that holds its text.
    Conflict(Option<Draft>),
    /// The operation was rejected and had no effect.
    Rejected(Error),
}

/// Which of two versions to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The original draft.
    One,
    /// The split-off draft. Its text replaces the text of the original draft.
    Other,
}

/// The outcome of a choice between two versions.
#[derive(Debug, PartialEq, Eq)]
pub enum Chosen {
    /// The choice was applied, by this call or an earlier one.
    Done,
    /// One of the two was changed or deleted meanwhile, so nothing was done. Contains the id of a remaining draft to
    /// review.
    Changed(String),
    Missing,
}

impl Book {
    /// Creates a book from the stored drafts that the operations refer to. Changes get this `moment` and this device
    /// name.
    pub fn new(drafts: Vec<Draft>, revision: i64, moment: Moment, device_name: String) -> Self {
        let drafts = drafts.into_iter().map(|draft| (draft.id.clone(), draft)).collect();
        let (changed, usage, room) = (BTreeSet::new(), Usage::default(), u64::MAX);
        Self { drafts, changed, revision, usage, room, moment, device_name, is_more_than_edited: false }
    }

    /// Sets the account's current usage and its limit in bytes.
    #[must_use]
    pub fn within(mut self, usage: Usage, room: u64) -> Self {
        (self.usage, self.room) = (usage, room);
        self
    }

    /// Whether replacing the text `instead` with `text` would exceed the limit. If the limit was lowered and the
    /// account is over it, the account may still shorten its drafts.
    fn is_full_for(&self, text: &str, instead: &str) -> bool {
        let more = bytes(text).saturating_sub(bytes(instead));
        more > 0 && self.usage.bytes.saturating_add(more) > self.room
    }

    /// Writes a text that builds on the version `base`. A `base` of 0 creates a draft.
    pub fn put(&mut self, id: &str, text: &str, base: i64) -> Result<Outcome> {
        match self.drafts.get(id).filter(|draft| draft.lives()) {
            Some(stored) if stored.text == text => Ok(Outcome::Applied(Some(stored.clone()))),
            Some(stored) if stored.version == base && self.is_full_for(text, &stored.text) => {
                Ok(Outcome::Rejected(Error::Quota(self.room)))
            }
            Some(stored) if stored.version == base => {
                let conflict_of = stored.conflict_of.clone();
                Ok(Outcome::Applied(Some(self.write(id, text, conflict_of))))
            }
            None if base == 0 && !self.drafts.contains_key(id) => {
                if self.usage.drafts >= MOST {
                    return Ok(Outcome::Rejected(full()));
                }
                if self.is_full_for(text, "") {
                    return Ok(Outcome::Rejected(Error::Quota(self.room)));
                }
                Ok(Outcome::Applied(Some(self.create(id, text, None))))
            }
            // A conflict keeps both texts, if the limits allow it.
            _ if self.usage.drafts >= 2 * MOST => Ok(Outcome::Rejected(full())),
            _ if self.is_full_for(text, "") => Ok(Outcome::Rejected(Error::Quota(self.room))),
            stored => {
                let of = stored.map(|stored| stored.id.clone());
                Ok(Outcome::Conflict(Some(self.create(&random_uuid()?, text, of))))
            }
        }
    }

    /// Saves a text that a client holds at this version from a lost history, unless the stored draft already contains
    /// it.
    pub fn keep(&mut self, id: &str, text: &str, version: i64) -> Result<Outcome> {
        match self.drafts.get(id) {
            Some(stored) if stored.text == text || stored.builds_on(version) => {
                Ok(Outcome::Applied(Some(stored).filter(|stored| stored.lives()).cloned()))
            }
            _ if self.usage.drafts >= 2 * MOST => Ok(Outcome::Rejected(full())),
            stored if self.is_full_for(text, stored.map_or("", |stored| &stored.text)) => {
                Ok(Outcome::Rejected(Error::Quota(self.room)))
            }
            None => Ok(Outcome::Applied(Some(self.create(id, text, None)))),
            // The versions after the stored one were lost, and nothing has been written on top of it since.
            Some(stored)
                if stored.lives()
                    && stored.version <= self.moment.version_floor
                    && is_before(stored.version, version) =>
            {
                let conflict_of = stored.conflict_of.clone();
                Ok(Outcome::Applied(Some(self.write(id, text, conflict_of))))
            }
            Some(_) if self.is_full_for(text, "") => Ok(Outcome::Rejected(Error::Quota(self.room))),
            Some(stored) => {
                let of = stored.lives().then(|| stored.id.clone());
                Ok(Outcome::Conflict(Some(self.create(&random_uuid()?, text, of))))
            }
        }
    }

    /// Deletes a draft, if it has not changed since the version `base`.
    pub fn delete(&mut self, id: &str, base: i64) -> Outcome {
        match self.drafts.get(id) {
            None => Outcome::Rejected(Error::NotFound),
            Some(stored) if !stored.lives() => Outcome::Applied(None),
            Some(stored) if stored.version == base => {
                self.mark_deleted(id);
                Outcome::Applied(None)
            }
            Some(_) => Outcome::Conflict(None),
        }
    }

    /// Keeps one of two versions, if neither has changed since the person saw them.
    pub fn choose(&mut self, pair: &Pair, keep: Keep) -> Chosen {
        let living = |id: &str| self.drafts.get(id).filter(|draft| draft.lives());
        match (living(&pair.one), living(&pair.other)) {
            (None, None) => Chosen::Missing,
            (Some(_), None) if self.drafts.contains_key(&pair.other) => Chosen::Done,
            (Some(one), Some(other))
                if one.version == pair.version
                    && other.version == pair.other_version
                    && other.conflict_of.as_ref() == Some(&pair.one) =>
            {
                let (text, conflict_of) = (other.text.clone(), one.conflict_of.clone());
                if keep == Keep::Other && one.text != text {
                    self.write(&pair.one, &text, conflict_of);
                }
                self.mark_deleted(&pair.other);
                Chosen::Done
            }
            (one, other) => Chosen::Changed(one.or(other).map(|there| there.id.clone()).unwrap_or_default()),
        }
    }

    /// Makes a split-off draft independent of its original.
    pub fn resolve(&mut self, id: &str) -> Chosen {
        let Some(draft) = self.drafts.get_mut(id).filter(|draft| draft.lives()) else {
            return Chosen::Missing;
        };
        if draft.conflict_of.take().is_some() {
            self.revision += 1;
            draft.revision = self.revision;
            self.changed.insert(id.to_owned());
        }
        Chosen::Done
    }

    /// The changed drafts in their current state.
    pub fn changed(&self) -> Vec<&Draft> {
        self.changed.iter().filter_map(|id| self.drafts.get(id)).collect()
    }

    fn mark_deleted(&mut self, id: &str) {
        self.write(id, "", None);
        if let Some(draft) = self.drafts.get_mut(id) {
            draft.deleted_at = Some(self.moment.now);
        }
        self.usage.drafts -= 1;
        self.is_more_than_edited = true;
    }

    fn create(&mut self, id: &str, text: &str, conflict_of: Option<String>) -> Draft {
        self.usage.drafts += 1;
        self.is_more_than_edited = true;
        self.write(id, text, conflict_of)
    }

    fn write(&mut self, id: &str, text: &str, conflict_of: Option<String>) -> Draft {
        self.revision += 1;
        let floor = self.moment.version_floor;
        let (last, forked_at) = match self.drafts.get(id) {
            Some(stored) if stored.version <= floor && floor > 0 => (stored.version, Some(stored.version)),
            Some(stored) => (stored.version, stored.forked_at),
            None => (0, None),
        };
        let before = self.drafts.get(id).map_or(0, |draft| bytes(&draft.text));
        self.usage.bytes = self.usage.bytes.saturating_sub(before).saturating_add(bytes(text));
        let draft = Draft {
            id: id.to_owned(),
            text: text.to_owned(),
            version: last.max(floor) + 1,
            revision: self.revision,
            updated_at: self.moment.now,
            updated_on: self.device_name.clone(),
            conflict_of,
            deleted_at: None,
            forked_at,
        };
        self.changed.insert(id.to_owned());
        self.drafts.insert(id.to_owned(), draft.clone());
        draft
    }
}

fn bytes(text: &str) -> u64 {
    text.len() as u64
}

fn full() -> Error {
    Error::Conflict(format!("an account has at most {MOST} drafts: delete some that are done"))
}

/// A random UUID (RFC 9562, version 4).
pub fn random_uuid() -> Result<String> {
    let mut bytes = secret::random_bytes::<16>()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}
