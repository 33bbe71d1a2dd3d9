//! What a person proves a sign-in with besides the password: the authenticator [app], the [recovery] codes, and the proofs
//! that were [spent] already. The passkeys are in [`passkey`](super::passkey). Called by `actions::second_factor`.
//!
//! Invariant: secrets are sealed with a key of the key file, for their account, so the database alone opens nothing.

pub mod app;
pub mod recovery;
pub mod resealing;
pub mod spent;

use diesel::{ExpressionMethods as _, QueryDsl as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    base::{
        db::{
            Conn, Instant, run,
            schema::{account_of_passkey, passkeys},
        },
        error::Result,
    },
    records::account::factors,
};

/// What an account has, for lists of methods and for the page about signing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Methods {
    pub passkeys: i64,
    pub has_app: bool,
    /// Recovery codes that were not used yet.
    pub recovery_left: i64,
}

impl Methods {
    /// The names of the methods, as the API shows them.
    pub fn names(self) -> Vec<&'static str> {
        let has = [(self.passkeys > 0, "passkey"), (self.has_app, "totp"), (self.recovery_left > 0, "recovery")];
        has.into_iter().filter_map(|(has, name)| has.then_some(name)).collect()
    }
}

/// What this account has.
pub async fn methods(conn: &mut Conn<'_>, account_id: &str) -> Result<Methods> {
    let count = factors::state(conn, account_id).await?.map_or(0, |state| state.count);
    let has_app = app::exists(conn, account_id).await?;
    let recovery_left = recovery::left(conn, account_id).await?;
    Ok(Methods { passkeys: count - i64::from(has_app), has_app, recovery_left })
}

/// What an account has, with times, for the page where the person manages it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    pub passkeys: i64,
    pub app_added_at: Option<Instant>,
    pub recovery_left: usize,
    /// When the recovery codes were made. `None` if there are none.
    pub recovery_made_at: Option<Instant>,
}

/// What this account has, with times.
pub async fn present(conn: &mut Conn<'_>, account_id: &str) -> Result<Present> {
    let count = factors::state(conn, account_id).await?.map_or(0, |state| state.count);
    let app_added_at = app::added_at(conn, account_id).await?;
    let codes = recovery::uses(conn, account_id).await?;
    Ok(Present {
        passkeys: count - i64::from(app_added_at.is_some()),
        app_added_at,
        recovery_left: codes.iter().filter(|(_, used_at)| used_at.is_none()).count(),
        recovery_made_at: codes.first().map(|(made_at, _)| *made_at),
    })
}

/// What is kept about the app and the recovery codes, for the person's export. Contains no secret.
pub async fn kept(conn: &mut Conn<'_>, account_id: &str) -> Result<Value> {
    let app = app::added_at(conn, account_id).await?.map(|at| json!({ "addedAt": at }));
    let codes = recovery::uses(conn, account_id).await?;
    let codes: Vec<Value> =
        codes.into_iter().map(|(made_at, used_at)| json!({ "madeAt": made_at, "usedAt": used_at })).collect();
    Ok(json!({ "app": app, "recoveryCodes": codes }))
}

/// Deletes all that is kept of the app, the recovery codes and the used proofs of an account that is deleted.
pub async fn forget(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    remove_all(conn, account_id).await?;
    spent::delete(conn, account_id).await
}

/// Removes the app, the passkeys and the recovery codes of an account. Returns how many rows there were. The caller has
/// locked the account's row, and records the change.
pub async fn remove_all(conn: &mut Conn<'_>, account_id: &str) -> Result<usize> {
    let apps = app::delete(conn, account_id).await?;
    let passkeys = delete_passkeys(conn, account_id).await?;
    Ok(apps + passkeys + recovery::delete(conn, account_id).await?)
}

async fn delete_passkeys(conn: &mut Conn<'_>, account_id: &str) -> Result<usize> {
    let own = || passkeys::table.filter(passkeys::account_id.eq(account_id));
    let ids: Vec<Vec<u8>> = run!(conn, load(own().select(passkeys::credential_id)))?;
    if ids.is_empty() {
        return Ok(0);
    }
    let hashes: Vec<Vec<u8>> = ids.iter().map(|id| Sha256::digest(id).to_vec()).collect();
    for hashes in hashes.chunks(conn.at_once(hashes.len())) {
        let entries = account_of_passkey::table.filter(account_of_passkey::credential_hash.eq_any(hashes));
        run!(conn, execute(diesel::delete(entries)))?;
    }
    run!(conn, execute(diesel::delete(own())))
}
