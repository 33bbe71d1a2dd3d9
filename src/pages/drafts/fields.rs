//! The fields of the forms of `/drafts`. Used by the handlers and the rendering of this folder.
//!
//! Invariant: every field is optional. The handlers validate them.

use serde::Deserialize;

/// The fields of all forms: a text to save, a draft to delete, or a choice between two versions.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    pub(super) operation: String,
    pub(super) draft: String,
    pub(super) base: i64,
    pub(super) text: Option<String>,
    pub(super) delete: Option<String>,
    pub(super) keep: Option<String>,
    pub(super) other: String,
    pub(super) other_base: i64,
    pub(super) both: Option<String>,
}
