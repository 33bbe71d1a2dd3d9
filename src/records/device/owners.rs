//! Maps each device secret to its account. A browser sends the secrets of all its devices, and only this table shows to
//! which accounts they belong. Called by [`device`](super) and by the sweep of devices when a secret changes or a
//! device is deleted.
//!
//! Invariant: the table contains the hash of the current secret of each device whose browser has one, and no other
//! hashes.

use diesel::{ExpressionMethods as _, QueryDsl as _};

use crate::base::{
    db::{Conn, run, schema::account_of_device_secret as secrets},
    error::Result,
    secret::Secret,
};

/// Returns the secrets that belong to devices of other accounts.
pub(super) async fn of_others(conn: &mut Conn<'_>, account_id: &str, secrets: Vec<Secret>) -> Result<Vec<Secret>> {
    if secrets.is_empty() {
        return Ok(secrets);
    }
    let hashes: Vec<Vec<u8>> = secrets.iter().map(Secret::hash).collect();
    let mut known: Vec<Vec<u8>> = Vec::new();
    for hashes in hashes.chunks(conn.at_once(hashes.len())) {
        let those = secrets::table.filter(secrets::secret_hash.eq_any(hashes));
        let others = those.filter(secrets::account_id.ne(account_id)).select(secrets::secret_hash);
        let some: Vec<Vec<u8>> = run!(conn, load(others))?;
        known.extend(some);
    }
    Ok(secrets.into_iter().filter(|secret| known.contains(&secret.hash())).collect())
}

/// Adds the current secret of a device.
pub(super) async fn add(conn: &mut Conn<'_>, account_id: &str, hash: &[u8]) -> Result<()> {
    let row = (secrets::secret_hash.eq(hash), secrets::account_id.eq(account_id));
    run!(conn, execute(diesel::insert_into(secrets::table).values(row).on_conflict_do_nothing())).map(drop)
}

/// Replaces the secret with the hash `old` by a device's new secret.
pub(super) async fn replace(conn: &mut Conn<'_>, account_id: &str, old: Option<Vec<u8>>, new: &Secret) -> Result<()> {
    let Some(old) = old.filter(|hash| !new.matches(hash)) else { return Ok(()) };
    remove(conn, &[old]).await?;
    add(conn, account_id, &new.hash()).await
}

/// Removes secrets that are no longer in use.
pub async fn remove(conn: &mut Conn<'_>, hashes: &[Vec<u8>]) -> Result<()> {
    for hashes in hashes.chunks(conn.at_once(hashes.len())) {
        let those = secrets::table.filter(secrets::secret_hash.eq_any(hashes));
        run!(conn, execute(diesel::delete(those)))?;
    }
    Ok(())
}
