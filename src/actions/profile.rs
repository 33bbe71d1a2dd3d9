//! A signed-in person changes their display name. Called by the account page.
//!
//! Locks, in this order: the account's row, the session.
//!
//! Invariant: a rename is recorded only if the name changed.

use crate::{
    base::{
        db::{Conn, Db},
        error::Result,
    },
    records::{
        account,
        audit::{self, Kind},
        session::{CurrentUser, Reach},
    },
};

/// Sets the display name. The caller has validated it. Returns `None` if the session has ended.
pub async fn rename(db: &Db, user: &CurrentUser, name: String, ip: Option<&str>) -> Result<Option<()>> {
    let (acting, event) = (user.acting(), user.event(Kind::AccountRenamed).ip(ip));
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(who) = acting.hold(conn, Reach::Itself).await? else {
            return Ok(None);
        };
        let was = account::rename(conn, &who.account_id, &name).await?;
        if was != name {
            audit::record(conn, &[event.session(&who.session_id).detail(&format!("was {was}"))]).await?;
        }
        Ok(Some(()))
    })
    .await
}
