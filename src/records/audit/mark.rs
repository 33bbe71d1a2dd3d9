//! The mark that every account's chain has begun, sealed under the trail's key. [`beginning`](super::beginning) sets it once;
//! `doctor` looks at it.
//!
//! Invariant: once the mark is there, a head without its seal is a forged one. A mark that was taken out again shows too, since
//! no program with the keys leaves a database without it.

use diesel::QueryDsl as _;

use super::encoding::Encoding;
use crate::base::{
    db::{Conn, find, schema::instance},
    error::Result,
    keys::AuditKeys,
};

/// What is known of the mark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mark {
    /// It is not there: no program with the keys has opened the database yet, or it was taken out.
    #[default]
    Missing,
    /// It is as it was sealed.
    Sealed,
    /// It is not.
    Broken,
    /// The key of this id sealed it and is not in the key file.
    KeyMissing(String),
}

/// What is known of the mark with these keys.
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

/// Whose key seals what is of no account.
pub(super) const NOBODY: &str = "";

pub(super) fn message(key_id: &str) -> Vec<u8> {
    Encoding::of("sessile trail mark 1").text(Some(key_id)).0
}
