//! A person renames and removes their passkeys, and is offered to make one. Called by the pages and the API of passkeys.
//!
//! Locks of each transaction, in this order: the account's row, the session, the passkey.
//!
//! Invariant: a removal needs a recent confirmation with a second factor. It is an event and a mail, and ends no session.

use crate::{
    actions::second_factor::{
        last::{self, Kept},
        manage::report,
    },
    base::{
        db::{Conn, Db},
        error::{Error, Result},
    },
    records::{
        audit::{self, Kind},
        passkey,
        session::{CurrentUser, Reach, Sessions},
    },
};

/// Renames a passkey. The caller has checked the name. Returns `None` if the session has ended.
///
/// # Errors
/// [`Error::NotFound`] when the account has no such passkey.
pub async fn rename(db: &Db, user: &CurrentUser, id: String, name: String, ip: Option<&str>) -> Result<Option<()>> {
    let (acting, event) = (user.acting(), user.event(Kind::PasskeyRenamed).ip(ip));
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(who) = acting.hold(conn, Reach::Itself).await? else { return Ok(None) };
        let was = passkey::rename(conn, &who.account_id, &id, &name).await?.ok_or(Error::NotFound)?;
        if was != name {
            let event = event.session(&who.session_id).detail(&format!("{name}, before: {was}"));
            audit::record(conn, &[event]).await?;
        }
        Ok(Some(()))
    })
    .await
}

/// Removes a passkey, unless the account needs it. Returns `None` if the session has ended.
///
/// # Errors
/// [`Error::ConfirmationRequired`]; [`Error::NotFound`] when the account has no such passkey.
pub async fn remove(
    sessions: &Sessions,
    user: &CurrentUser,
    id: String,
    ip: Option<&str>,
) -> Result<Option<Result<(), Kept>>> {
    let (own, user, ip) = (sessions.clone(), user.clone(), ip.map(str::to_owned));
    let work = async move |conn: &mut Conn<'_>| {
        let Some((who, _)) = user.acting().hold_for_proofs(conn, Reach::Itself).await? else { return Ok(None) };
        if passkey::one(conn, &who.account_id, &id).await?.is_none() {
            return Err(Error::NotFound);
        }
        if let Err(kept) = last::may_lose_one(conn, &own, &who.account_id).await? {
            return Ok(Some(Err(kept)));
        }
        let removed = passkey::remove(conn, &who.account_id, &id).await?.ok_or(Error::NotFound)?;
        last::after_removal(conn, &who.account_id).await?;
        let event = user.event(Kind::PasskeyRemoved).session(&who.session_id).ip(ip.as_deref());
        audit::record(conn, &[event.detail(&removed.name)]).await?;
        report(conn, &own, &user.account, ("A passkey was removed", ip.as_deref())).await?;
        Ok(Some(Ok(())))
    };
    sessions.db.write(work).await
}

/// Records that the person is offered to make a passkey, which happens once. `false` if they were offered before, or have a
/// second factor, or the session has ended.
pub async fn offer(db: &Db, user: &CurrentUser) -> Result<bool> {
    let acting = user.acting();
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(who) = acting.hold(conn, Reach::Itself).await? else { return Ok(false) };
        passkey::offer(conn, &who.account_id).await
    })
    .await
}
