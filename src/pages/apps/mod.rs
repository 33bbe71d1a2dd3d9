//! Protected apps on Sessile's own origin: opening one, signing out of all, the list of those that a person may open, what
//! apps' servers ask, and the pages on which admins manage them. Called by the routes.
//!
//! Invariant: an app's server learns only about sessions that opened the app. Only admins and owners manage apps.

pub mod ends;
mod feeds;
mod fields;
pub mod index;
pub mod list;
pub mod living;
pub mod one;
pub mod open;
pub mod question;
mod secrets;
mod server;
mod set_up;
pub mod sign_out;
mod tail;

pub use self::feeds::Feeds;
