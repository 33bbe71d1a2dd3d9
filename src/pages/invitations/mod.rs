//! Links that admins make for people: invitations and links for a new password. Called by the routes.
//!
//! Invariant: a link is shown once, in the answer to the form that made it.

pub mod api;
pub mod invite;
pub mod person;
mod shown;
