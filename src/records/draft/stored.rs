//! A draft as it is stored, and how the versions of a draft compare.
//!
//! Invariant: versions of two histories are never taken for one another.

use diesel::{Queryable, Selectable};
use serde::{Serialize, ser::SerializeStruct as _};

use crate::base::db::{DraftRow, Instant, schema::drafts};

/// Longest text, in characters (Unicode scalar values).
pub const LONGEST: usize = 10_000;
/// Drafts an account may have that are not deleted. Drafts that a conflict has split off may be as many again.
pub const MOST: i64 = 2_000;
/// Versions of one history lie closer together than this, and those of two histories further apart.
pub const SPAN: i64 = 1 << 20;

/// A draft, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = drafts)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Draft {
    /// Made by a client; the account's own.
    pub id: String,
    /// What it says; nothing once it is deleted.
    pub text: String,
    /// Grows by one with each change.
    pub version: i64,
    /// The account's count of changes when this one was changed last.
    pub revision: i64,
    /// When that was.
    pub updated_at: Instant,
    /// What the device was called on which that was.
    pub updated_on: String,
    /// The draft from which this one was split off, because both had been changed.
    pub conflict_of: Option<String>,
    /// When it was deleted.
    pub deleted_at: Option<Instant>,
    /// Its last version from before the history in which it was changed last.
    pub forked_at: Option<i64>,
}

impl Draft {
    pub(super) fn row(&self) -> DraftRow<'_> {
        DraftRow {
            id: &self.id,
            text: &self.text,
            version: self.version,
            revision: self.revision,
            updated_at: self.updated_at,
            updated_on: &self.updated_on,
            conflict_of: self.conflict_of.as_deref(),
            deleted_at: self.deleted_at,
            forked_at: self.forked_at,
        }
    }

    /// Whether it is not deleted.
    pub fn lives(&self) -> bool {
        self.deleted_at.is_none()
    }

    /// Whether its text was written after this version, which may be of a lost history.
    pub(crate) fn builds_on(&self, version: i64) -> bool {
        is_before(version, self.version) || self.forked_at.is_some_and(|last| is_before(version, last))
    }
}

/// Whether two versions of a draft belong to the same history, and the first is no later than the other.
pub(super) fn is_before(version: i64, other: i64) -> bool {
    (0..SPAN).contains(&(other - version))
}

/// As the API shows it.
impl Serialize for Draft {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shape = serializer.serialize_struct("Draft", 7)?;
        shape.serialize_field("id", &self.id)?;
        shape.serialize_field("text", &self.text)?;
        shape.serialize_field("version", &self.version)?;
        shape.serialize_field("updatedAt", &self.updated_at)?;
        shape.serialize_field("updatedOn", &self.updated_on)?;
        if let Some(of) = &self.conflict_of {
            shape.serialize_field("conflictOf", of)?;
        }
        if !self.lives() {
            shape.serialize_field("deleted", &true)?;
        }
        shape.end()
    }
}
