//! An operator ends sessions. Called by the `session` and `restored` commands.
//!
//! Locks, in this order: the generation's row (only to end all sessions), or the account's row (only to end a single session);
//! the sessions that end, by account and id.
//!
//! Invariant: every session that ends is recorded as ended by the operator.

use std::fmt;

use crate::{
    base::{
        db::{Conn, Db},
        error::Result,
    },
    records::{
        account,
        audit::OPERATOR,
        session::{EndReason, Scope, SessionRef, ends, former, generation},
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

/// The largest number of sessions whose rows [`revoke_all`] ends itself.
const MOST_ROWS: i64 = 2_000;

/// What [`revoke_all`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllEnded {
    /// How many sessions lived, at most [`generation::MOST_COUNTED`] and one more.
    lived: i64,
}

impl AllEnded {
    /// Whether there were so many sessions that their rows, and their events, follow in the background.
    pub fn has_rows_left(self) -> bool {
        self.lived > MOST_ROWS
    }
}

impl fmt::Display for AllEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lived {
            lived if lived > generation::MOST_COUNTED => write!(f, "more than {}", generation::MOST_COUNTED),
            lived => write!(f, "{lived}"),
        }
    }
}

/// Ends every session, in one transaction. If there are few, also ends their rows, in a second one. Otherwise a server
/// does that in the background, or `prune`.
pub async fn revoke_all(db: &Db) -> Result<AllEnded> {
    let lived = db.write(async |conn: &mut Conn<'_>| generation::begin_next(conn).await).await?;
    let ended = AllEnded { lived };
    if !ended.has_rows_left() {
        db.write(async |conn: &mut Conn<'_>| generation::end_first(conn).await).await?;
    }
    Ok(ended)
}

async fn revoke(db: &Db, scope: Scope) -> Result<usize> {
    db.write(async move |conn: &mut Conn<'_>| ends::end(conn, &scope, EndReason::Revoked, OPERATOR, None).await).await
}
