//! Drafts are short texts that a person writes on any of their devices. They change only through [`operation`]s, whose
//! semantics are in [`book`]; [`sync`](crate::actions::sync) applies them. [`stored`] defines a draft, [`statements`]
//! holds the reads and writes of a transaction, [`list`] and [`portion`] read drafts for pages and clients, and
//! [`sweep`] deletes old rows.
//!
//! Invariant: a text is never overwritten by a text that does not build on it. Both are kept.

pub mod book;
pub mod export;
pub mod list;
pub mod operation;
pub mod portion;
pub mod result;
pub mod revision;
pub mod statements;
pub mod stored;
pub mod sweep;

pub use self::{
    portion::Changes,
    stored::{Draft, LONGEST, MOST, SPAN},
};
