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

use serde_json::Value;

pub use self::{asked::Asked, proof::Refusal};
use crate::{
    base::{secret::Secret, webauthn::Ceremonies},
    records::{session::Sessions, throttle::Network},
};

/// What all uses of passkeys need.
#[derive(Clone)]
pub struct Tools {
    pub sessions: Sessions,
    pub ceremonies: Ceremonies,
}

/// What a browser answers to a question.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The sealed state that came with the question.
    pub state: String,
    /// The credential as JSON.
    pub credential: Value,
    /// The secret of the visitor cookie.
    pub visitor: Secret,
    /// Where a refused answer is counted.
    pub network: Network,
}
