//! The user handle: the bytes by which an authenticator tells the accounts of a service apart.
//!
//! Invariant: an account's handle never changes, and reveals nothing about the person (WebAuthn Level 3, 14.6.1).

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use webauthn_rs::prelude::Uuid;

/// 16 bytes, because webauthn-rs takes a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserHandle([u8; 16]);

impl UserHandle {
    /// The handle of an account: the random bytes of its id, or the start of the id's SHA-256 if the id has none.
    pub fn of(account: &str) -> Self {
        let random = account.strip_prefix("acc_").and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
        if let Some(bytes) = random.and_then(|bytes| bytes.try_into().ok()) {
            return Self(bytes);
        }
        let hash = Sha256::digest(account.as_bytes());
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(hash).for_each(|(byte, from)| *byte = from);
        Self(bytes)
    }

    /// The text in the browser's JSON, for the signal API.
    pub fn text(self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }

    pub(super) fn uuid(self) -> Uuid {
        Uuid::from_bytes(self.0)
    }

    pub(super) fn is(self, bytes: &[u8]) -> bool {
        self.0 == *bytes
    }
}
