//! People: the list, the page of one person with the questions before what cannot be taken back, and the API. For admins
//! and owners. Called by the routes.
//!
//! Invariant: nothing about a person is shown to somebody who may not act on them, beyond their row in the list.

pub mod api;
mod deed;
mod fields;
pub mod index;
pub mod one;
pub mod question;
mod sign_ins;
