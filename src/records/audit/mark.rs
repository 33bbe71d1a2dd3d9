//! The sealed mark that the audit chains of all accounts have begun. The module `beginning` sets it once, and `doctor`
//! checks it.
//!
//! Invariant: once the mark is set, an unsealed head of an account with events is forged. Removing the mark is noticed
//! too, because every program with the key file sets it.

use diesel::QueryDsl as _;

use super::encoding::Encoding;
use crate::base::{
    db::{Conn, find, schema::instance},
    error::Result,
    keys::AuditKeys,
};

/// The state of the mark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mark {
    /// Not set: no program with the key file has opened the database yet, or the mark was removed.
    #[default]
    Missing,
    /// Set, with a valid seal.
    Sealed,
    /// Set, with an invalid seal.
    Broken,
    /// The seal cannot be checked: the key with this id is not in the key file.
    KeyMissing(String),
}

/// Reads the mark and checks its seal.
pub async fn look(conn: &mut Conn<'_>, keys: &AuditKeys) -> Result<Mark> {
    type StoredMark = (Option<String>, Option<Vec<u8>>);
    let row: Option<StoredMark> =
        find!(conn, first(instance::table.select((instance::trail_key_id, instance::trail_mac))))?;
    Ok(match row {
        None | Some((None, None)) => Mark::Missing,
        Some((Some(id), Some(mac))) => match keys.find(&id) {
            Some(key) if key.of_account(NOBODY)?.sealed(&message(&id), &mac) => Mark::Sealed,
            Some(_) => Mark::Broken,
            None => Mark::KeyMissing(id),
        },
        Some(_) => Mark::Broken,
    })
}

/// Stands for an account id in seals and rows that belong to no account.
pub(super) const NOBODY: &str = "";

pub(super) fn message(key_id: &str) -> Vec<u8> {
    Encoding::of("sessile trail mark 1").text(Some(key_id)).0
}
