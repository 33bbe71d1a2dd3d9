//! The results of operations: as the API returns them, and as they are stored for operations that are sent again.
//! Called by [`sync`](crate::actions::sync).
//!
//! Invariant: a stored result holds no text. An operation that is sent again carries its text.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};

use super::{operation::Action, stored::Draft};
use crate::base::{
    db::Instant,
    error::{Error, Result},
};

/// The status of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The operation was applied.
    Applied,
    /// The operation was applied before, with the status in [`OperationResult::first`].
    Duplicate,
    /// The draft had changed. Both texts are kept.
    Conflict,
    /// The operation was rejected.
    Rejected,
}

/// The result of an operation, as the API returns it.
#[derive(Debug)]
pub struct OperationResult {
    /// The operation's id as received.
    pub id: Option<String>,
    pub status: Status,
    /// The status of a duplicate's first result.
    pub first: Option<Status>,
    /// The draft, if the operation was a put.
    pub draft: Option<Draft>,
    /// Why the operation was rejected.
    pub problem: Option<Error>,
}

/// The first result of an operation as it is stored. The draft's text is left out, because the operation carries it
/// when it is sent again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct First {
    pub status: Status,
    /// The draft, if the operation was a put.
    pub draft: Option<FirstDraft>,
}

/// A draft without its text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FirstDraft {
    id: String,
    version: i64,
    revision: i64,
    updated_at: i64,
    updated_on: String,
    conflict_of: Option<String>,
}

impl First {
    /// The result of the same operation when it is sent again.
    pub fn again(&self, id: Option<String>, action: &Action) -> OperationResult {
        let draft = match (&self.draft, action) {
            (Some(draft), Action::Put { text, .. } | Action::Keep { text, .. }) => Some(draft.with(text)),
            _ => None,
        };
        OperationResult { id, status: Status::Duplicate, first: Some(self.status), draft, problem: None }
    }
}

impl From<&Draft> for FirstDraft {
    fn from(draft: &Draft) -> Self {
        Self {
            id: draft.id.clone(),
            version: draft.version,
            revision: draft.revision,
            updated_at: draft.updated_at.micros(),
            updated_on: draft.updated_on.clone(),
            conflict_of: draft.conflict_of.clone(),
        }
    }
}

impl FirstDraft {
    fn with(&self, text: &str) -> Draft {
        Draft {
            id: self.id.clone(),
            text: text.to_owned(),
            version: self.version,
            revision: self.revision,
            updated_at: Instant::from_micros(self.updated_at),
            updated_on: self.updated_on.clone(),
            conflict_of: self.conflict_of.clone(),
            deleted_at: None,
            forked_at: None,
        }
    }
}

impl OperationResult {
    /// The result of a rejected operation.
    pub fn rejected(id: Option<String>, error: Error) -> Self {
        Self { id, status: Status::Rejected, first: None, draft: None, problem: Some(error) }
    }
}

impl Serialize for OperationResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use actix_web::ResponseError as _;
        let mut shape = serializer.serialize_map(None)?;
        shape.serialize_entry("id", &self.id)?;
        shape.serialize_entry("status", &self.status)?;
        if let Some(first) = self.first {
            shape.serialize_entry("first", &first)?;
        }
        if let Some(draft) = &self.draft {
            shape.serialize_entry("draft", draft)?;
        }
        if let Some(error) = &self.problem {
            let status = error.status_code();
            let problem = serde_json::json!({
                "type": error.slug(),
                "title": status.canonical_reason(),
                "status": status.as_u16(),
                "detail": error.detail(),
            });
            shape.serialize_entry("problem", &problem)?;
        }
        shape.end()
    }
}
