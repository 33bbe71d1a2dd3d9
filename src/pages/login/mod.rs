//! Signing in and out, confirming, and creating an account. Each page has its own file, and the API is in [`api`]. They
//! share `visit` and `new_account`. Called by the routes.
//!
//! Invariant: every session begins in an [action](crate::actions); these files only read forms and render pages.

pub mod api;
pub mod confirm;
pub mod forgot;
mod hand_over;
pub mod link;
pub mod logout;
mod new_account;
mod new_address;
mod not_me;
pub mod page;
pub mod passkey;
pub mod second;
pub mod setup;
pub mod signup;
mod visit;
