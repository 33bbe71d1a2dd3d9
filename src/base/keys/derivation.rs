//! Derives secrets from the key file instead of storing them, so that the same secret can be issued again. Called by
//! the session keys, by the links of mails, and by the set-up of authenticator apps.
//!
//! Invariant: the subject of a session's key contains a secret that only the browser has, so the key file alone cannot
//! derive a valid key.

use std::sync::Arc;

use crate::base::{
    error::{Error, Result},
    secret::{self, Secret},
};

/// The keys for deriving secrets. The same subject always gives the same secret. Cheap to clone.
#[derive(Clone)]
pub struct DerivationKeys(Arc<[Vec<u8>]>);

impl DerivationKeys {
    /// `keys` are in the order of the key file.
    pub(super) fn new(keys: impl Iterator<Item = Vec<u8>>) -> Self {
        Self(keys.collect())
    }

    /// 43 base64url characters, derived from `subject` with the first key of the file.
    pub fn derive(&self, subject: &str) -> Result<Secret> {
        let first = self.0.first().ok_or_else(|| Error::bug("no key to derive a secret with"))?;
        secret::sign(first, subject).map(Secret::presented)
    }

    /// The secrets that all keys of the file derive from `subject`. The file may have a new first key since a secret
    /// was derived.
    pub fn candidates(&self, subject: &str) -> impl Iterator<Item = Secret> {
        self.0.iter().filter_map(move |key| secret::sign(key, subject).ok().map(Secret::presented))
    }
}

impl std::fmt::Debug for DerivationKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DerivationKeys(…)")
    }
}
