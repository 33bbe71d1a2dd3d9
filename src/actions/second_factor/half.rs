//! The state between a right password and the second factor. It is sealed, and only the browser keeps it, so that it is good
//! on every node. Made by the sign-in, and ended by [`finish`](super::finish).
//!
//! Invariant: it opens nothing without a second factor, in no other browser, and not after 10 minutes, a new password or a
//! change of the second factors.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    base::{
        db::Instant,
        error::{Error, Result},
        keys::SealingKeys,
        secret::{self, Secret},
    },
    records::second_factor::Methods,
};

/// How long a person has for the second factor.
pub const VALID: Duration = Duration::from_secs(600);
const PURPOSE: &str = "first step of a sign-in";

/// A sign-in whose password was right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Half {
    pub account_id: String,
    /// The account's canonical address, for the count of codes.
    pub email: String,
    password_changed_at: i64,
    pub(super) factor_version: i64,
    made_at: i64,
    /// Makes each one different, since each is used once.
    nonce: String,
    /// Where the person goes on to.
    pub next: Option<String>,
}

/// What the sign-in returns instead of a session.
#[derive(Debug, Clone)]
pub struct HalfSignedIn {
    pub half: Half,
    /// What the account has as a second factor.
    pub methods: Methods,
}

impl Half {
    pub(crate) fn new(
        account_id: &str,
        email: &str,
        password_changed_at: Instant,
        factor_version: i64,
        now: Instant,
    ) -> Result<Self> {
        Ok(Self {
            account_id: account_id.to_owned(),
            email: email.to_owned(),
            password_changed_at: password_changed_at.micros(),
            factor_version,
            made_at: now.micros(),
            nonce: secret::random_name("")?,
            next: None,
        })
    }

    /// The same step, for a person who goes on to `next`.
    #[must_use]
    pub fn going_on_to(self, next: Option<String>) -> Self {
        Self { next, ..self }
    }

    /// The cookie's value, for the browser with this visitor secret.
    pub fn seal(&self, keys: &SealingKeys, visitor: &Secret) -> Result<String> {
        let json = serde_json::to_vec(self).map_err(Error::bug)?;
        keys.seal_for_browser(PURPOSE, visitor.expose(), &json)
    }

    /// The state in a cookie, if it is valid in the browser with this visitor secret.
    pub fn open(keys: &SealingKeys, visitor: &Secret, value: &str, now: Instant) -> Option<Self> {
        let half = Self::open_expired(keys, visitor, value)?;
        let age = Instant::from_micros(half.made_at).age(now);
        age.is_some_and(|age| age <= VALID).then_some(half)
    }

    /// The state in a cookie, even if it is not valid any more. It tells only where the person wanted to go.
    pub fn open_expired(keys: &SealingKeys, visitor: &Secret, value: &str) -> Option<Self> {
        let json = keys.open_from_browser(PURPOSE, visitor.expose(), value)?;
        serde_json::from_slice(&json).ok()
    }

    pub(super) fn password_changed_at(&self) -> Instant {
        Instant::from_micros(self.password_changed_at)
    }

    /// Identifies this state, to note that it was used.
    pub(in crate::actions) fn name(&self) -> &[u8] {
        self.nonce.as_bytes()
    }
}
