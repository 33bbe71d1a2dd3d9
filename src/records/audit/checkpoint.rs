//! The sealed checkpoint at which an account's chain begins after its oldest events were deleted. It holds the number
//! of deleted events and the digest of the deleted links. Written by [`retention`](super::retention), read by
//! [`verify`](super::verify).
//!
//! Invariant: a checkpoint replaces only events that were verified.

use diesel::{ExpressionMethods as _, QueryDsl as _, Queryable, Selectable, SelectableHelper as _};

use super::encoding::Encoding;
use crate::base::{
    db::{Conn, find, run, schema::trail_checkpoints},
    error::Result,
    keys::AuditKeys,
};

/// A summary of an account's deleted events.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = trail_checkpoints)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub(super) struct Checkpoint {
    /// Deleted links.
    pub(super) links: i64,
    /// Deleted events that were older than the chain.
    pub(super) unchained: i64,
    /// Digest of the deleted links.
    pub(super) digest: Vec<u8>,
    pub(super) key_id: String,
    mac: Vec<u8>,
}

/// The account's checkpoint. `None` if none of its events were deleted.
pub(super) async fn read(conn: &mut Conn<'_>, account_id: &str) -> Result<Option<Checkpoint>> {
    find!(conn, first(trail_checkpoints::table.find(account_id).select(Checkpoint::as_select())))
}

impl Checkpoint {
    /// Seals a checkpoint with the signing key.
    pub(super) fn new(
        keys: &AuditKeys,
        account_id: &str,
        [links, unchained]: [i64; 2],
        digest: Vec<u8>,
    ) -> Result<Self> {
        let key = keys.signing();
        let mut new = Self { links, unchained, digest, key_id: key.id().to_owned(), mac: Vec::new() };
        new.mac = key.of_account(account_id)?.seal(&new.message(account_id));
        Ok(new)
    }

    /// Whether the seal is valid. `None` if the key that made it is not in the key file.
    pub(super) fn is_sealed(&self, keys: &AuditKeys, account_id: &str) -> Result<Option<bool>> {
        match keys.find(&self.key_id) {
            Some(key) => Ok(Some(key.of_account(account_id)?.sealed(&self.message(account_id), &self.mac))),
            None => Ok(None),
        }
    }

    /// Replaces the account's earlier checkpoint.
    pub(super) async fn write(&self, conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
        run!(conn, execute(diesel::delete(trail_checkpoints::table.find(account_id))))?;
        let row = (
            trail_checkpoints::account_id.eq(account_id),
            trail_checkpoints::links.eq(self.links),
            trail_checkpoints::unchained.eq(self.unchained),
            trail_checkpoints::digest.eq(&self.digest),
            trail_checkpoints::key_id.eq(&self.key_id),
            trail_checkpoints::mac.eq(&self.mac),
        );
        run!(conn, execute(diesel::insert_into(trail_checkpoints::table).values(row))).map(drop)
    }

    fn message(&self, account_id: &str) -> Vec<u8> {
        Encoding::of("sessile trail checkpoint 1")
            .text(Some(account_id))
            .number(self.links)
            .number(self.unchained)
            .bytes(Some(&self.digest))
            .text(Some(&self.key_id))
            .0
    }
}
