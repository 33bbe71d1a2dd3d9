//! Applies a client's operations on drafts, device names and sessions. A client may send an operation again. [`apply`]
//! handles a sync call, and [`choice`] resolves a conflict between two versions of a draft. Both start from [`sender`],
//! and a `batch` is the working state of one call. Called by the sync API and by the drafts page.
//!
//! Locks, in this order: the account's row; the sending session, or all live sessions by id if an operation ends a
//! session; devices.
//!
//! Invariant: a call is applied as a whole or not at all. Each operation takes effect once, however often it is sent.

pub mod apply;
mod batch;
pub mod choice;
pub mod sender;
