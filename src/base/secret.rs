//! Random secrets, their hashes, and signatures. Called wherever a secret is issued or checked.
//!
//! Invariant: no type of this module shows its secret in `Debug`, and none implements `Display`. Comparisons take
//! constant time.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::base::error::{Error, Result};

/// A random text that grants access. Only its [hash](Self::hash) is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// 256 random bits as 43 base64url characters.
    ///
    /// # Errors
    /// When the operating system's random number generator fails.
    pub fn random() -> Result<Self> {
        random_text::<32>().map(Self)
    }

    /// 128 random bits as 22 base64url characters.
    ///
    /// # Errors
    /// When the operating system's random number generator fails.
    pub fn random_short() -> Result<Self> {
        random_text::<16>().map(Self)
    }

    /// A secret from a request. The text is not checked.
    pub fn presented(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Send it only to the owner of the secret.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the text. A slow hash is not needed for a secret with at least 128 random bits.
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }

    /// Whether `hash` is the hash of this secret, compared in constant time.
    pub fn matches(&self, hash: &[u8]) -> bool {
        self.hash().ct_eq(hash).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// `prefix` followed by 22 random base64url characters. The name is an identifier, not a secret.
///
/// # Errors
/// When the operating system's random number generator fails.
pub fn random_name(prefix: &str) -> Result<String> {
    Ok(format!("{prefix}{}", random_text::<16>()?))
}

/// `BYTES` random bytes in base64url without padding.
pub(crate) fn random_text<const BYTES: usize>() -> Result<String> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<BYTES>()?))
}

/// Random bytes from the operating system.
pub(crate) fn random_bytes<const BYTES: usize>() -> Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Error::bug(format!("no randomness: {error}")))?;
    Ok(bytes)
}

/// Whether a text is exactly `length` base64url characters.
pub(crate) fn is_base64url(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// HMAC-SHA256 of `message` under `key`, as base64url.
pub(crate) fn sign(key: &[u8], message: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|error| Error::bug(format!("hmac: {error}")))?;
    mac.update(message.as_bytes());
    Ok(BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Whether two texts are equal, compared in constant time.
pub(crate) fn same_text(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_secret_does_not_show_it() {
        let secret = Secret::random().unwrap();
        assert!(!format!("{secret:?}").contains(secret.expose()));
    }

    #[test]
    fn secrets_have_the_lengths_of_the_contract_and_match_their_own_hash_only() {
        let (a, b) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert!(is_base64url(a.expose(), 43) && is_base64url(Secret::random_short().unwrap().expose(), 22));
        assert!(a.matches(&a.hash()) && !a.matches(&b.hash()) && !a.matches(&[]));
    }
}
