//! What all uses of passkeys need, and what a browser answers. Called by the other modules of this folder, and made by the
//! pages.
//!
//! Invariant: an answer carries the secret of the browser's visitor cookie, to which its question is bound.

use serde_json::Value;

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
