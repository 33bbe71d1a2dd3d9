//! The bytes that the seals cover. Used by everything that seals or verifies a part of the audit trail.
//!
//! Invariant: different contents, or contents of different purposes, never have the same encoding.

use sha2::{Digest as _, Sha256};

use crate::base::db::Instant;

/// The fields of an event that its link seals.
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

/// The message that a link's seal covers: the digest of all links before it, and the link's content.
pub(super) fn link_message(before: &[u8], content: &[u8]) -> Vec<u8> {
    Encoding::of("sessile trail link 1").bytes(Some(before)).bytes(Some(content)).0
}

/// The digest of the chain up to and including this link. It needs no key, so that a link's seal also covers earlier
/// links whose keys are lost.
pub(super) fn digest(before: &[u8], content: &[u8], mac: &[u8]) -> Vec<u8> {
    let all = Encoding::of("sessile trail digest 1").bytes(Some(before)).bytes(Some(content)).bytes(Some(mac));
    Sha256::digest(all.0).to_vec()
}

/// The commitment to an address that the chain seals. Without the salt, it does not reveal the address.
pub(super) fn commit(salt: &[u8], ip: &str) -> Vec<u8> {
    Sha256::new().chain_update(salt).chain_update(ip).finalize().to_vec()
}

/// Concatenated fields, each with a length prefix. A missing field differs from an empty one.
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
