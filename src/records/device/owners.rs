//! Finds the account of a device's secret. A browser brings the secrets of all its devices, and only this table tells
//! whose they are. Called by [`device`](super) and by the sweep of devices, whenever a secret changes or a device goes.
//!
//! Invariant: the table holds the hash of the present secret of each device whose browser has one, and no others.

use diesel::{ExpressionMethods as _, QueryDsl as _};

use crate::base::{
    db::{Conn, run, schema::account_of_device_secret as secrets},
    error::Result,
    secret::Secret,
};

/// Those of these secrets that belong to other accounts' devices.
pub(super) async fn of_others(conn: &mut Conn<'_>, account_id: &str, secrets: Vec<Secret>) -> Result<Vec<Secret>> {
    if secrets.is_empty() {
        return Ok(secrets);
    }
    let hashes: Vec<Vec<u8>> = secrets.iter().map(Secret::hash).collect();
    let others = secrets::table.filter(secrets::secret_hash.eq_any(hashes)).filter(secrets::account_id.ne(account_id));
    let known: Vec<Vec<u8>> = run!(conn, load(others.select(secrets::secret_hash)))?;
    Ok(secrets.into_iter().filter(|secret| known.contains(&secret.hash())).collect())
}

/// Adds the present secret of one of the account's devices.
pub(super) async fn add(conn: &mut Conn<'_>, account_id: &str, hash: &[u8]) -> Result<()> {
    let row = (secrets::secret_hash.eq(hash), secrets::account_id.eq(account_id));
    run!(conn, execute(diesel::insert_into(secrets::table).values(row).on_conflict_do_nothing())).map(drop)
}

/// Puts a device's new secret in the place of the one with this hash.
pub(super) async fn replace(conn: &mut Conn<'_>, account_id: &str, old: Option<Vec<u8>>, new: &Secret) -> Result<()> {
    let Some(old) = old.filter(|hash| !new.matches(hash)) else { return Ok(()) };
    remove(conn, &[old]).await?;
    add(conn, account_id, &new.hash()).await
}

/// Removes secrets that no device has any more.
pub async fn remove(conn: &mut Conn<'_>, hashes: &[Vec<u8>]) -> Result<()> {
    let those = secrets::table.filter(secrets::secret_hash.eq_any(hashes));
    run!(conn, execute(diesel::delete(those))).map(drop)
}
