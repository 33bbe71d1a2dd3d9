//! Passkeys: adding one ([`register`]), signing in with one ([`sign_in`]), confirming with one ([`confirm`]), and looking
//! after them ([`manage`]). Called by the pages and the API.
//!
//! Invariant: the account of an answer is the one that the credential was stored for, never one that the answer names. A
//! challenge is good for one browser and one use.

mod asked;
pub mod confirm;
pub mod manage;
mod proof;
pub mod register;
pub mod sign_in;
mod tools;

pub use self::{
    asked::Asked,
    proof::Refusal,
    tools::{Answer, Tools},
};
