//! Drafts: short texts that a person writes on any of their devices. Changed only by [`operation`]s, whose meaning is in
//! [`book`]; [`sync`](crate::actions::sync) carries them out. [`stored`] is a draft, [`statements`] read and write what a
//! transaction needs, [`list`] and [`portion`] read for pages and clients, [`sweep`] forgets.
//! Any function that takes a connection fails when the database is away.
//!
//! Invariant: a text that was written is never overwritten by one that does not build on it; both are kept.

pub mod book;
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
