//! Secrets that are derived and never stored, so that the same one can be handed out again. Called by the session keys.
//!
//! Invariant: without the subject, which holds a secret of the browser's own, the key file derives nothing of use.

use std::sync::Arc;

use crate::base::{
    error::{Error, Result},
    secret::{self, Secret},
};

/// Derives secrets that only this instance can make, and makes the same ones again. Cheap to clone.
#[derive(Clone)]
pub struct DerivationKeys(Arc<[Vec<u8>]>);

impl DerivationKeys {
    /// From the keys of the file, the first one first.
    pub(super) fn new(keys: impl Iterator<Item = Vec<u8>>) -> Self {
        Self(keys.collect())
    }

    /// 43 base64url characters from `subject`, under the first key of the file.
    ///
    /// # Errors
    /// Never in practice: HMAC takes keys of any length.
    pub fn derive(&self, subject: &str) -> Result<Secret> {
        let first = self.0.first().ok_or_else(|| Error::bug("there is no key to derive with"))?;
        secret::sign(first, subject).map(Secret::presented)
    }

    /// What each of the keys derives from `subject`: the file may have a new first line since a secret was derived.
    pub fn candidates(&self, subject: &str) -> impl Iterator<Item = Secret> {
        self.0.iter().filter_map(move |key| secret::sign(key, subject).ok().map(Secret::presented))
    }
}

impl std::fmt::Debug for DerivationKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DerivationKeys(…)")
    }
}
