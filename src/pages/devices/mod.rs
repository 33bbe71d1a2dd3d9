//! The devices of an account and their sessions: listing, renaming and ending them. The page is in [`page`] and its
//! cards in `cards`; the API is in [`api`]. Both share the actions in `act`. Called by the routes.
//!
//! Invariant: ending a session needs a recent confirmation, and only the account's own sessions can be ended.

mod act;
pub mod api;
mod cards;
pub mod page;
