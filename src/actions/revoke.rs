//! An operator ends sessions. Called by the `session` and `restored` commands.
//!
//! Locks, in this order: the account's row (only to end a single session); the sessions that end, by account and id.
//!
//! Invariant: every session that ends is recorded as ended by the operator.

use crate::{
    base::{
        db::{Conn, Db},
        error::Result,
    },
    records::{
        account,
        audit::OPERATOR,
        session::{EndReason, Scope, SessionRef, ends, former},
    },
};

/// Ends the session with this id, which may be an id from before a key rotation. Returns whether a live session ended.
pub async fn revoke_one(db: &Db, id: String) -> Result<bool> {
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(SessionRef { account_id, id }) = former::find_of_any(conn, &id).await? else {
            return Ok(false);
        };
        // A rotation may have changed the session's id since it was found. The lock prevents further rotations.
        account::lock(conn, &account_id).await?;
        let one = Scope::One(SessionRef::new(&account_id, &former::present_id(conn, &account_id, &id).await?));
        Ok(ends::end(conn, &one, EndReason::Revoked, OPERATOR, None).await? > 0)
    })
    .await
}

/// Ends every session of an account. Returns how many ended.
pub async fn revoke_account(db: &Db, account_id: String) -> Result<usize> {
    revoke(db, Scope::Account(account_id)).await
}

/// Ends every session and returns how many ended. Uses several transactions, so that a server on the same database is
/// never blocked for long.
pub async fn revoke_all(db: &Db) -> Result<usize> {
    let mut all = 0;
    loop {
        match revoke(db, Scope::All).await? {
            0 => return Ok(all),
            ended => all += ended,
        }
    }
}

async fn revoke(db: &Db, scope: Scope) -> Result<usize> {
    db.write(async move |conn: &mut Conn<'_>| ends::end(conn, &scope, EndReason::Revoked, OPERATOR, None).await).await
}
