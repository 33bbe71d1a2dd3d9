//! What operations on drafts mean: an account's drafts as a transaction has them in its hands, and what became of each
//! operation. No input and no output.
//!
//! Invariant: a put either builds on the version that is stored, or says what is stored, or becomes a draft of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::stored::{Draft, MOST, is_before};
use crate::base::{
    db::Instant,
    error::{Error, Result},
    secret,
};

/// An account's drafts, as far as the operations of one call name them.
#[derive(Debug)]
pub struct Book {
    drafts: BTreeMap<String, Draft>,
    changed: BTreeSet<String>,
    /// The account's count of changes.
    pub revision: i64,
    usage: Usage,
    room: u64,
    moment: Moment,
    /// On which device things are done.
    pub device_name: String,
    /// Whether something was made or deleted, and not only edited.
    pub is_more_than_edited: bool,
}

/// When a transaction changes drafts.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The database's time.
    pub now: Instant,
    /// Versions that the present history gives out are greater.
    pub version_floor: i64,
}

/// A draft and the one that was split off it, each in the version in which it was shown.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The draft.
    pub one: String,
    /// Its version.
    pub version: i64,
    /// The draft that was split off it.
    pub other: String,
    /// Its version.
    pub other_version: i64,
}

/// How much an account has in drafts that are not deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many there are.
    pub drafts: i64,
    /// Bytes of their texts.
    pub bytes: u64,
}

/// What became of an operation.
#[derive(Debug)]
pub enum Outcome {
    /// It was carried out; with the draft, if it was a put.
    Applied(Option<Draft>),
    /// Somebody changed the draft meanwhile. A put has become the draft that is here.
    Conflict(Option<Draft>),
    /// It was refused, and nothing happened.
    Rejected(Error),
}

/// Which of two versions is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The draft, as it is.
    One,
    /// What was split off it: its text becomes the draft's.
    Other,
}

/// What became of a choice between two versions.
#[derive(Debug, PartialEq, Eq)]
pub enum Chosen {
    /// It is as it was chosen, now or before.
    Done,
    /// One of the two was changed or deleted meanwhile, and nothing happened. The one that is there to be looked at.
    Changed(String),
    /// The account has no such drafts.
    Missing,
}

impl Book {
    /// With the drafts that operations name, as they are stored; changes are of this moment and on this device.
    pub fn new(drafts: Vec<Draft>, revision: i64, moment: Moment, device_name: String) -> Self {
        let drafts = drafts.into_iter().map(|draft| (draft.id.clone(), draft)).collect();
        let (changed, usage, room) = (BTreeSet::new(), Usage::default(), u64::MAX);
        Self { drafts, changed, revision, usage, room, moment, device_name, is_more_than_edited: false }
    }

    /// Of an account that has so much already, and room for so many bytes.
    #[must_use]
    pub fn within(mut self, usage: Usage, room: u64) -> Self {
        (self.usage, self.room) = (usage, room);
        self
    }

    /// Whether there is no room for a text, `instead` of another one. An account that has too much, since it had more room
    /// before, may still shorten what it has.
    fn is_full_for(&self, text: &str, instead: &str) -> bool {
        let more = bytes(text).saturating_sub(bytes(instead));
        more > 0 && self.usage.bytes.saturating_add(more) > self.room
    }

    /// Writes a text on top of a version; 0 is a new draft.
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
                Ok(Outcome::Applied(Some(self.make(id, text, None))))
            }
            // Both texts are kept, if there is any room at all.
            _ if self.usage.drafts >= 2 * MOST => Ok(Outcome::Rejected(full())),
            _ if self.is_full_for(text, "") => Ok(Outcome::Rejected(Error::Quota(self.room))),
            stored => {
                let of = stored.map(|stored| stored.id.clone());
                Ok(Outcome::Conflict(Some(self.make(&random_uuid()?, text, of))))
            }
        }
    }

    /// Sees to it that a text is not lost which a client has from a lost history, in this version.
    pub fn keep(&mut self, id: &str, text: &str, version: i64) -> Result<Outcome> {
        match self.drafts.get(id) {
            Some(stored) if stored.text == text || stored.builds_on(version) => {
                Ok(Outcome::Applied(Some(stored).filter(|stored| stored.lives()).cloned()))
            }
            _ if self.usage.drafts >= 2 * MOST => Ok(Outcome::Rejected(full())),
            stored if self.is_full_for(text, stored.map_or("", |stored| &stored.text)) => {
                Ok(Outcome::Rejected(Error::Quota(self.room)))
            }
            None => Ok(Outcome::Applied(Some(self.make(id, text, None)))),
            // What followed the stored version was lost, and nothing was written on it since.
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
                Ok(Outcome::Conflict(Some(self.make(&random_uuid()?, text, of))))
            }
        }
    }

    /// Deletes a draft, if nobody changed it since that version.
    pub fn delete(&mut self, id: &str, base: i64) -> Outcome {
        match self.drafts.get(id) {
            None => Outcome::Rejected(Error::NotFound),
            Some(stored) if !stored.lives() => Outcome::Applied(None),
            Some(stored) if stored.version == base => {
                self.bury(id);
                Outcome::Applied(None)
            }
            Some(_) => Outcome::Conflict(None),
        }
    }

    /// Keeps one of two versions, if both are as they were shown.
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
                self.bury(&pair.other);
                Chosen::Done
            }
            (one, other) => Chosen::Changed(one.or(other).map(|there| there.id.clone()).unwrap_or_default()),
        }
    }

    /// Says that a draft that was split off stands for itself.
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

    /// The drafts that changed, as they are now.
    pub fn changed(&self) -> Vec<&Draft> {
        self.changed.iter().filter_map(|id| self.drafts.get(id)).collect()
    }

    fn bury(&mut self, id: &str) {
        self.write(id, "", None);
        if let Some(draft) = self.drafts.get_mut(id) {
            draft.deleted_at = Some(self.moment.now);
        }
        self.usage.drafts -= 1;
        self.is_more_than_edited = true;
    }

    fn make(&mut self, id: &str, text: &str, conflict_of: Option<String>) -> Draft {
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
