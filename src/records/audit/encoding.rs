//! The bytes that are sealed. No two events, heads or marks are encoded alike.

use sha2::{Digest as _, Sha256};

use crate::base::db::Instant;

/// What a link seals of an event, and the event as it is stored.
pub(super) struct Content<'a> {
    pub account_id: &'a str,
    pub seq: i64,
    pub key_id: &'a str,
    pub at: Instant,
    pub kind: &'a str,
    pub actor: &'a str,
    pub session_id: Option<&'a str>,
    pub device_id: Option<&'a str>,
    pub device_name: Option<&'a str>,
    pub ip_commit: Option<&'a [u8]>,
    pub detail: Option<&'a str>,
}

impl Content<'_> {
    /// So that no two events are encoded alike.
    pub(super) fn encode(&self) -> Vec<u8> {
        Encoding::of("sessile trail event 1")
            .text(Some(self.account_id))
            .number(self.seq)
            .text(Some(self.key_id))
            .number(self.at.micros())
            .text(Some(self.kind))
            .text(Some(self.actor))
            .text(self.session_id)
            .text(self.device_id)
            .text(self.device_name)
            .bytes(self.ip_commit)
            .text(self.detail)
            .0
    }
}

/// What a link's seal covers: all that was before it, and its own content.
pub(super) fn link_message(before: &[u8], content: &[u8]) -> Vec<u8> {
    Encoding::of("sessile trail link 1").bytes(Some(before)).bytes(Some(content)).0
}

/// What the links come to with this one. It needs no key, so that a link vouches even for those whose key is gone.
pub(super) fn digest(before: &[u8], content: &[u8], mac: &[u8]) -> Vec<u8> {
    let all = Encoding::of("sessile trail digest 1").bytes(Some(before)).bytes(Some(content)).bytes(Some(mac));
    Sha256::digest(all.0).to_vec()
}

/// What stands for an address in the chain. Without its salt it tells nothing of it.
pub(super) fn commit(salt: &[u8], ip: &str) -> Vec<u8> {
    Sha256::new().chain_update(salt).chain_update(ip).finalize().to_vec()
}

/// Fields one after another, each with its length, and told apart from those that are not there.
pub(super) struct Encoding(pub(super) Vec<u8>);

impl Encoding {
    pub(super) fn of(purpose: &str) -> Self {
        Self(Vec::with_capacity(256)).text(Some(purpose))
    }

    pub(super) fn bytes(mut self, field: Option<&[u8]>) -> Self {
        match field {
            Some(field) => {
                self.0.push(1);
                self.0.extend_from_slice(&(field.len() as u64).to_be_bytes());
                self.0.extend_from_slice(field);
            }
            None => self.0.push(0),
        }
        self
    }

    pub(super) fn text(self, field: Option<&str>) -> Self {
        self.bytes(field.map(str::as_bytes))
    }

    pub(super) fn number(self, field: i64) -> Self {
        self.bytes(Some(&field.to_be_bytes()))
    }
}
