//! What an operator, or a person who manages others, does with one account: change it, end its sessions, export it and
//! delete it. Also what everybody may do with their own account. Pages, API and commands call the same functions.
//!
//! Invariant: nothing is done before [`admitted`] has checked, in the same transaction, that the actor may act on the
//! account.

pub mod address;
pub mod admitted;
pub mod change;
pub mod delete;
pub mod end;
pub mod export;
pub mod leave;
