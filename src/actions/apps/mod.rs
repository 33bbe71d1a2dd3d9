//! Protected apps: what operators and admins do with them, and how a signed-in person opens one. Called by the `app` commands and by
//! the pages for apps.
//!
//! Invariant: a grant is made only by spending a code, and only while the session lives.

pub mod checks;
pub mod manage;
pub mod manager;
pub mod open;
