//! A person says in answer to a mail that a new device is not theirs. Called by the page of the link.
//!
//! Locks, in this order: the account's row, its live sessions by id.
//!
//! Invariant: whoever has the link can end the sessions of that one device, and choose a new password, once.

use super::password_link::LIFE;
use crate::{
    base::{
        db::{Conn, Db},
        error::Result,
        secret::Secret,
    },
    records::{
        account,
        link::{self, Made, Purpose},
        session::{EndReason, Scope, ends},
    },
};

/// Ends the sessions on the device, and makes a link for a new password. `None` if the link does not work any more.
pub async fn disown(db: &Db, token: Secret, ip: Option<String>) -> Result<Option<Made>> {
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(link) = link::look_up(conn, &token).await? else { return Ok(None) };
        let id = link.account_id.as_str();
        account::lock(conn, id).await?;
        let device = link.about.clone().filter(|_| link.purpose == Purpose::NotMe);
        let Some(device) = device else { return Ok(None) };
        if account::one(conn, id).await?.is_none() || !link::spend(conn, id, &token, Purpose::NotMe).await? {
            return Ok(None);
        }
        let there = Scope::OnDevice { account: id.to_owned(), device };
        ends::end(conn, &there, EndReason::Revoked, id, ip.as_deref()).await?;
        link::make(conn, id, Purpose::Password, LIFE, id).await.map(Some)
    })
    .await
}
