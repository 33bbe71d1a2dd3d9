//! What the product does: each function is one transaction with its lock order, called by pages, the API and commands.
//!
//! Invariant: nothing here knows HTTP.

pub mod end_sessions;
pub mod new_password;
pub mod password_proof;
pub mod sign_in;
pub mod sign_out;
