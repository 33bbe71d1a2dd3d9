//! What the forms of `/drafts` send.

use serde::Deserialize;

/// What the forms send: a text to be saved, a draft to be deleted, or a choice between two.
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
