//! A signed-in person's drafts, device names and sign-outs, carried out as operations that a client may send again.
//! [`apply`] is a call of the sync, [`choice`] settles two versions of a draft; both begin in [`sender`], and a `batch`
//! is one call while it is carried out. Called by the API of the sync and by the drafts page.
//!
//! Locks, in this order: the account's row; the session that sends, or all live sessions by id if an operation ends one;
//! devices.
//!
//! Invariant: a call is carried out as a whole or not at all, and each of its operations once, however often it is sent.

pub mod apply;
mod batch;
pub mod choice;
pub mod sender;
