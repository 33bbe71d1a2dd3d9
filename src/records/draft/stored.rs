//! A draft as it is stored, and the comparison of its versions. Used throughout this folder.
//!
//! Invariant: a version of one history is never mistaken for a version of another.

use diesel::{Queryable, Selectable};
use serde::{Serialize, ser::SerializeStruct as _};

use crate::base::db::{DraftRow, Instant, schema::drafts};

/// Longest text, in characters (Unicode scalar values).
pub const LONGEST: usize = 10_000;
/// Drafts that an account may have, not counting deleted ones. Conflicts may create up to as many again.
pub const MOST: i64 = 2_000;
/// Versions of a draft within one history differ by less than this; versions of different histories differ by more.
pub const SPAN: i64 = 1 << 20;

/// A stored draft.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = drafts)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Draft {
    /// The id, made by a client. Unique within the account.
    pub id: String,
    /// The text; empty once the draft is deleted.
    pub text: String,
    /// Increases with each change.
    pub version: i64,
    /// The account's count of changes at this draft's last change.
    pub revision: i64,
    /// The time of the last change.
    pub updated_at: Instant,
    /// The name, at that time, of the device that made the last change.
    pub updated_on: String,
    /// The original draft, if this one was split off in a conflict.
    pub conflict_of: Option<String>,
    pub deleted_at: Option<Instant>,
    /// The last version before the history of its last change.
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

    /// Whether the text builds on this version, which may be from a lost history.
    pub(crate) fn builds_on(&self, version: i64) -> bool {
        is_before(version, self.version) || self.forked_at.is_some_and(|last| is_before(version, last))
    }
}

/// Whether both versions of a draft belong to the same history and `version` is not later than `other`.
pub(super) fn is_before(version: i64, other: i64) -> bool {
    (0..SPAN).contains(&(other - version))
}

/// The JSON of the API.
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
