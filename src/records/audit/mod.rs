//! The audit trail: what happened to an account, by whom, from where. Written in the same transaction as what it
//! records, by whoever does it; each account's events are links of a chain.
//!
//! Invariant: no key, secret or password is ever part of an event, and rows are only added. Nothing in them changes but
//! that addresses are wiped, and the oldest are removed.

pub mod anchor;
mod beginning;
mod chain;
mod checkpoint;
mod encoding;
mod event;
mod finding;
mod head;
pub mod mark;
mod page;
mod record;
mod repeats;
pub mod retention;
mod sign_ins;
pub mod sweep;
pub mod verify;
mod walk;
pub mod wipe;

pub use self::{
    beginning::{begin, is_begun},
    event::{Event, HERE, Kind, OPERATOR, Recorded, SYSTEM},
    page::{Cursor, MOST_A_PAGE, Page, Topic, newest, newest_before, of_kinds, page},
    record::record,
    sign_ins::sign_ins_of_last_days,
};
