//! Deletes an account. Nothing personal remains: the account's row keeps only the id, and the trail ends with a sealed
//! event that holds the id, the actor and the time. Called by the page, the API and the commands for people, and by
//! [`leave`](super::leave).
//!
//! Locks, in this order: the instance's row, both accounts by id, their sessions, what else belongs to the account, the
//! rules of apps.
//!
//! Invariant: an account is deleted completely or not at all.

use super::{admitted::admit_over, change::Refused};
use crate::{
    actions::apps::manager::Manager,
    base::{
        db::{Conn, Db},
        error::Result,
    },
    records::{
        account::person,
        app::statements,
        audit::{self, Event, Kind},
        draft, help, instance, link, mail,
        session::{EndReason, Scope, ends, people},
    },
};

/// Deletes the account with this id.
///
/// # Errors
/// [`Error::NotFound`](crate::base::error::Error::NotFound) and the errors of who may not delete it.
pub async fn delete(db: &Db, by: &Manager, id: &str) -> Result<Result<(), Refused>> {
    let (by, id) = (by.clone(), id.to_owned());
    let deleted = db
        .write(async move |conn: &mut Conn<'_>| {
            instance::lock(conn).await?;
            let admitted = admit_over(conn, &by, &id).await?;
            if admitted.is_last_owner(conn).await? {
                return Ok(Err(Refused::LastOwner));
            }
            admitted.record_counterpart(conn, Kind::AccountDeleted).await?;
            remove(conn, &id, admitted.actor()).await.map(Ok)
        })
        .await?;
    if deleted.is_ok() {
        // Also from the files of SQLite, as far as they are ours.
        if let Err(error) = db.truncate_wal().await {
            tracing::warn!(%error, "the account was deleted, but the files of the database still hold old pages");
        }
    }
    Ok(deleted)
}

/// Deletes everything that belongs to an account. The caller has locked the account's row.
pub(super) async fn remove(conn: &mut Conn<'_>, id: &str, actor: &str) -> Result<()> {
    // Announces the ends to open pages, other nodes and apps. The trail keeps no event of it.
    ends::end(conn, &Scope::Account(id.to_owned()), EndReason::AccountDisabled, actor, None).await?;
    people::delete_all(conn, id).await?;
    draft::statements::delete_all(conn, id).await?;
    link::forget(conn, id).await?;
    mail::forget(conn, id).await?;
    help::settle(conn, id).await?;
    statements::forget_account(conn, id).await?;
    person::empty(conn, id).await?;
    audit::record(conn, &[Event::of(Kind::AccountDeleted, id).by_manager(actor)]).await
}
