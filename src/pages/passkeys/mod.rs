//! The pages and the API with which a person looks after their passkeys. Signing in and confirming with one is in
//! [`login::passkey`](super::login::passkey). Called by the routes.
//!
//! Invariant: adding and removing need a recent confirmation, with a second factor if the account has one.

pub mod api;
pub mod page;
