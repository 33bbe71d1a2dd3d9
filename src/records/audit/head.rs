//! The seal of a chain's head. Used by everything that extends or verifies a chain.
//!
//! Invariant: the seal covers every other column of the head.

use super::encoding::Encoding;
use crate::base::{db::TrailHead, error::Result, keys::AuditKeys};

impl TrailHead {
    /// Whether the seal is valid. `None` if the key that made it is not in the key file.
    pub(super) fn is_sealed(&self, keys: &AuditKeys) -> Result<Option<bool>> {
        let (Some(key_id), Some(mac)) = (&self.key_id, &self.mac) else {
            return Ok(Some(false));
        };
        match keys.find(key_id) {
            Some(key) => Ok(Some(key.of_account(&self.account_id)?.sealed(&self.message(), mac))),
            None => Ok(None),
        }
    }

    pub(super) fn message(&self) -> Vec<u8> {
        Encoding::of("sessile trail head 1")
            .text(Some(&self.account_id))
            .number(self.links)
            .number(self.unchained)
            .bytes(self.digest.as_deref())
            .text(self.key_id.as_deref())
            .0
    }
}
