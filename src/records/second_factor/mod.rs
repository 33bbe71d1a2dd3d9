//! What a person proves a sign-in with besides the password: the authenticator [app], the [recovery] codes, and the proofs
//! that were [spent] already. The passkeys are in [`passkey`](super::passkey). Called by `actions::second_factor`.
//!
//! Invariant: secrets are sealed with a key of the key file, for their account, so the database alone opens nothing.

pub mod app;
pub mod recovery;
pub mod resealing;
pub mod spent;

use diesel::{ExpressionMethods as _, QueryDsl as _};
use sha2::{Digest as _, Sha256};

use crate::{
    base::{
        db::{
            Conn, run,
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
    let entries = account_of_passkey::table.filter(account_of_passkey::credential_hash.eq_any(hashes));
    run!(conn, execute(diesel::delete(entries)))?;
    run!(conn, execute(diesel::delete(own())))
}
