//! The audit trail: what happened to an account, who did it, and from which address. Every action records its events in
//! the transaction that makes the change. The events of an account form a hash chain.
//!
//! Invariant: no event contains a key, secret or password. Rows are only added, with three exceptions: old addresses
//! are wiped, the oldest rows are deleted, and so are those of a deleted account.

pub mod anchor;
mod beginning;
mod chain;
mod checkpoint;
mod closing;
mod encoding;
mod event;
pub mod export;
mod finding;
mod head;
pub mod mark;
mod page;
mod record;
mod repeats;
pub mod retention;
pub mod sweep;
pub mod verify;
mod walk;
pub mod wipe;

pub use self::{
    beginning::{begin, is_begun},
    event::{COPIED_PASSKEY, Event, HERE, Kind, OPERATOR, Recorded, SYSTEM, WRONG_PASSKEY},
    page::{Cursor, MOST_A_PAGE, Page, Topic, newest_before, of_kinds, page},
    record::record,
};
