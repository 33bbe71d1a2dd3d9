//! Deletes an account. Nothing personal remains: the account's row keeps only the id, and the trail ends with a sealed
//! event that holds the id, the actor and the time. Called by the page, the API and the commands for people, and by
//! [`leave`](super::leave).
//!
//! An account with very many rows is closed first, so that nobody can sign in to it. Then its rows are deleted in small
//! transactions, and what is left in a last one. If the program stops meanwhile, the sweep goes on.
//!
//! Locks, in this order: the instance's row, both accounts by id, their sessions, what else belongs to the account, the
//! rules of apps.
//!
//! Invariant: an account is deleted completely, or not at all.

use super::{admitted::admit_over, change::Refused};
use crate::{
    actions::{apps::manager::Manager, password_proof::run_to_completion},
    base::{
        db::{Conn, Db},
        error::Result,
    },
    records::{
        account::{self, leaving, person},
        app::statements,
        audit::{self, Event, Kind, retention},
        draft, help, instance, link, mail, second_factor,
        session::{EndReason, Scope, ends, people},
    },
};

/// Rows of one kind that one transaction deletes.
const BATCH: i64 = 1_000;

/// Deletes the account with this id. Runs to completion even if the client disconnects.
///
/// # Errors
/// [`Error::NotFound`](crate::base::error::Error::NotFound) and the errors of who may not delete it.
pub async fn delete(db: &Db, by: &Manager, id: &str) -> Result<Result<(), Refused>> {
    let (db, by, id) = (db.clone(), by.clone(), id.to_owned());
    run_to_completion(async move {
        let own = id.clone();
        let begun = db.write(async move |conn: &mut Conn<'_>| begin(conn, &by, &own).await).await?;
        match begun {
            Ok(Begun::Done) => {}
            Ok(Begun::Closed) => {
                finish(&db, &id).await?;
            }
            Err(refused) => return Ok(Err(refused)),
        }
        // Also from the files of SQLite, as far as they are ours.
        if let Err(error) = db.truncate_wal().await {
            tracing::warn!(%error, "the account was deleted, but the files of the database still hold old pages");
        }
        Ok(Ok(()))
    })
    .await
}

enum Begun {
    /// The account is deleted.
    Done,
    /// The account is closed, and its rows are still there.
    Closed,
}

async fn begin(conn: &mut Conn<'_>, by: &Manager, id: &str) -> Result<Result<Begun, Refused>> {
    instance::lock(conn).await?;
    let admitted = admit_over(conn, by, id).await?;
    if admitted.is_last_owner(conn).await? {
        return Ok(Err(Refused::LastOwner));
    }
    admitted.record_counterpart(conn, Kind::AccountDeleted).await?;
    if !is_large(conn, id).await? {
        return remove(conn, id, admitted.actor()).await.map(|()| Ok(Begun::Done));
    }
    leaving::begin(conn, id, admitted.actor()).await?;
    ends::end(conn, &Scope::Account(id.to_owned()), EndReason::AccountDisabled, admitted.actor(), None).await?;
    Ok(Ok(Begun::Closed))
}

async fn is_large(conn: &mut Conn<'_>, id: &str) -> Result<bool> {
    Ok(draft::statements::has_more_than(conn, id, BATCH).await? || retention::has_more_than(conn, id, BATCH).await?)
}

/// Deletes an account whose time to return is over, in small transactions. `false` if it is not over.
pub(super) async fn finish(db: &Db, id: &str) -> Result<bool> {
    loop {
        let own = id.to_owned();
        if db.write(async move |conn: &mut Conn<'_>| remove_some(conn, &own).await).await? == 0 {
            break;
        }
    }
    let own = id.to_owned();
    db.write(async move |conn: &mut Conn<'_>| remove_left(conn, &own).await).await
}

/// Deletes a batch of the account's rows. Returns how many. Spares the rows that one transaction can delete.
async fn remove_some(conn: &mut Conn<'_>, id: &str) -> Result<u64> {
    account::lock(conn, id).await?;
    if !leaving::has_left(conn, id).await? || !is_large(conn, id).await? {
        return Ok(0);
    }
    let rows = draft::statements::delete_some(conn, id, BATCH).await?;
    let events = retention::delete_some(conn, id).await?;
    Ok(u64::try_from(rows).unwrap_or_default() + events)
}

async fn remove_left(conn: &mut Conn<'_>, id: &str) -> Result<bool> {
    instance::lock(conn).await?;
    account::lock(conn, id).await?;
    if !leaving::has_left(conn, id).await? {
        return Ok(false);
    }
    let by = leaving::by(conn, id).await?;
    remove(conn, id, by.as_deref().unwrap_or(id)).await?;
    Ok(true)
}

/// Deletes everything that belongs to an account. The caller has locked the account's row.
async fn remove(conn: &mut Conn<'_>, id: &str, actor: &str) -> Result<()> {
    // Announces the ends to open pages, other nodes and apps. The trail keeps no event of it.
    ends::end(conn, &Scope::Account(id.to_owned()), EndReason::AccountDisabled, actor, None).await?;
    people::delete_all(conn, id).await?;
    draft::statements::delete_all(conn, id).await?;
    // The hand-overs go with their links.
    link::forget(conn, id).await?;
    mail::forget(conn, id).await?;
    help::settle(conn, id).await?;
    statements::forget_account(conn, id).await?;
    second_factor::forget(conn, id).await?;
    person::empty(conn, id).await?;
    audit::record(conn, &[Event::of(Kind::AccountDeleted, id).by_manager(actor)]).await
}
