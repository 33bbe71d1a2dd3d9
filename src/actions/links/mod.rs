//! One-time links: making, using and ending them. Called by the pages, the API and the commands. The owner's set-up uses the
//! same links, in [`setup`](super::setup).
//!
//! Invariant: a link is used up in the transaction that does what it is for.

pub mod accept;
pub mod forgot;
pub mod hand_over;
pub mod invite;
pub mod not_me;
pub mod password_link;
