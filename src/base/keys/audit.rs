//! The keys that seal the audit trail. Each is derived from a key of the key file, and a further key is derived for
//! each account. Used by `audit` when a transaction records events.
//!
//! Invariant: a key's id is a one-way hash of the key, so the database may store it.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::base::error::{Error, Result};

/// The audit keys. The first seals, all verify. Cheap to clone.
#[derive(Clone)]
pub struct AuditKeys(Arc<[AuditKey]>);

/// An audit key with its id.
#[derive(Clone)]
pub struct AuditKey {
    id: String,
    key: Vec<u8>,
}

/// The key that seals the events of one account.
pub struct AccountKey(Hmac<Sha256>);

impl AuditKeys {
    pub(super) fn new(keys: impl Iterator<Item = AuditKey>) -> Self {
        Self(keys.collect())
    }

    /// The ids of all keys, the sealing key first. Ids are not secret.
    pub fn ids(&self) -> String {
        self.0.iter().map(AuditKey::id).collect::<Vec<_>>().join(" ")
    }

    pub fn signing(&self) -> &AuditKey {
        &self.0[0]
    }

    /// The key with this id, if the key file holds it.
    pub fn find(&self, id: &str) -> Option<&AuditKey> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl std::fmt::Debug for AuditKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(AuditKey::id)).finish()
    }
}

impl AuditKey {
    pub(super) fn new(key: Vec<u8>) -> Self {
        let id = Sha256::new().chain_update("sessile audit trail key id").chain_update(&key).finalize();
        Self { id: BASE64_URL_SAFE_NO_PAD.encode(&id[..9]), key }
    }

    /// Stored with each seal to identify the key. Not secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn of_account(&self, account_id: &str) -> Result<AccountKey> {
        let keyed =
            |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).map_err(|error| Error::bug(format!("hmac: {error}")));
        let derived = keyed(&self.key)?.chain_update(account_id).finalize().into_bytes();
        keyed(&derived).map(AccountKey)
    }
}

impl AccountKey {
    /// HMAC-SHA256 of a message.
    pub fn seal(&self, message: &[u8]) -> Vec<u8> {
        self.0.clone().chain_update(message).finalize().into_bytes().to_vec()
    }

    /// Whether `mac` is the seal of the message, compared in constant time.
    pub fn sealed(&self, message: &[u8], mac: &[u8]) -> bool {
        self.0.clone().chain_update(message).verify_slice(mac).is_ok()
    }
}
