//! What a person proves a sign-in with besides the password: the authenticator [app], the [recovery] codes, and the proofs
//! that were [spent] already. The passkeys are in [`passkey`](super::passkey). Called by `actions::second_factor`.
//!
//! Invariant: secrets are sealed with a key of the key file, for their account, so the database alone opens nothing.

pub mod app;
pub mod recovery;
pub mod spent;

use crate::{
    base::{db::Conn, error::Result},
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

/// Removes the app and the recovery codes of an account. The caller has locked its row, and records the change.
pub async fn remove_all(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    app::delete(conn, account_id).await?;
    recovery::delete(conn, account_id).await
}
