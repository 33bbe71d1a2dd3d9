//! Protected apps on Sessile's own origin: opening one, signing out of all, the list of those that a person may open, and
//! what apps' servers ask. Called by the routes.
//!
//! Invariant: an app's server learns only about sessions that opened the app.

pub mod ends;
mod feeds;
pub mod list;
pub mod living;
pub mod open;
mod server;
pub mod sign_out;

pub use self::feeds::Feeds;
