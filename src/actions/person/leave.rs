//! A person deletes their own account: they are signed out at once, and have some days to change their mind by signing
//! in. Then the sweep deletes it. Called by the account page, the API, and the sweeps.
//!
//! Locks, in this order: the instance's row, the account's row, its sessions, what else belongs to the account.
//!
//! Invariant: an account whose person has signed in again is not deleted.

use super::{admitted::is_last_owner, change::Refused, delete::finish};
use crate::{
    base::{
        db::{Conn, Db},
        error::{Error, Result},
    },
    records::{
        account::{leaving, person},
        audit::{self, Kind},
        instance,
        session::{CurrentUser, Reach, Scope, acting::Acting, ends},
    },
};

/// Accounts that one round of the sweep looks for.
const BATCH: i64 = 100;

/// Asks for the deletion of the person's own account and ends its sessions. Returns `None` if the session has ended.
/// `acting` has the session's current key.
///
/// # Errors
/// [`Error::ConfirmationRequired`].
pub async fn ask(db: &Db, user: &CurrentUser, acting: Acting, ip: Option<&str>) -> Result<Option<Result<(), Refused>>> {
    let (event, ip) = (user.event(Kind::AccountDeletionAsked).ip(ip), ip.map(str::to_owned));
    db.write(async move |conn: &mut Conn<'_>| {
        instance::lock(conn).await?;
        let Some(who) = acting.hold_confirmed(conn, Reach::AllSessions).await? else { return Ok(None) };
        let own = person::find(conn, &who.account_id).await?.ok_or(Error::NotFound)?;
        if is_last_owner(conn, &own).await? {
            return Ok(Some(Err(Refused::LastOwner)));
        }
        leaving::ask(conn, &who.account_id).await?;
        audit::record(conn, &[event.session(&who.session_id)]).await?;
        let all = Scope::Account(who.account_id.clone());
        ends::revoke(conn, &all, &who, ip.as_deref()).await?;
        Ok(Some(Ok(())))
    })
    .await
}

/// Deletes the accounts whose persons asked for it and have not come back, and those whose deletion was interrupted. Returns
/// their number.
pub async fn sweep(db: &Db) -> Result<usize> {
    let mut deleted = 0;
    loop {
        let due = db.read(async |conn: &mut Conn<'_>| leaving::due(conn, BATCH).await).await?;
        if due.is_empty() {
            break;
        }
        let mut done = 0;
        for id in due {
            done += usize::from(finish(db, &id).await?);
        }
        deleted += done;
        if done == 0 {
            break;
        }
    }
    if deleted > 0
        && let Err(error) = db.truncate_wal().await
    {
        tracing::warn!(%error, "accounts were deleted, but the files of the database still hold old pages");
    }
    Ok(deleted)
}
