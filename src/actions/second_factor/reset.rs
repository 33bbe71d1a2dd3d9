//! A manager removes all second factors of an account, for a person who has lost them. Called by the page for people and by
//! `sessile user reset-second-factor`.
//!
//! Locks, in this order: both accounts by id, their sessions.
//!
//! Invariant: the app, the passkeys, the recovery codes and half-finished sign-ins are void, and all sessions have ended,
//! together or not at all.

use crate::{
    actions::{apps::manager::Manager, person::admitted::admit_over},
    base::{
        db::{Conn, Db},
        error::{Error, Result},
    },
    records::{
        account::factors,
        audit::Kind,
        mail::{Detail, Letters, MailKind},
        second_factor,
        session::{EndReason, Scope, ends},
    },
};

/// The outcome of a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// The account had no second factor. Nothing was changed.
    HadNone,
    /// All second factors are removed.
    Removed {
        /// How many sessions ended.
        ended: usize,
    },
}

/// Removes all second factors of the account with this id, and ends its sessions. The person is told at the next sign-in.
///
/// # Errors
/// Those of `admit_over`; [`Error::Forbidden`] for one's own account.
pub async fn reset(db: &Db, letters: &Letters, by: &Manager, id: &str) -> Result<Reset> {
    let (by, letters, id) = (by.clone(), letters.clone(), id.to_owned());
    db.write(async move |conn: &mut Conn<'_>| {
        let admitted = admit_over(conn, &by, &id).await?;
        if matches!(&by, Manager::Person(person) if person.acting.account_id() == id) {
            // One's own are removed one by one, with a confirmation by a second factor.
            return Err(Error::Forbidden);
        }
        let removed = second_factor::remove_all(conn, &id).await?;
        if removed == 0 && !admitted.target.account.has_second_factor() {
            return Ok(Reset::HadNone);
        }
        factors::reset(conn, &id).await?;
        admitted.record(conn, Kind::SecondFactorReset, None).await?;
        let change = Some("Your second factor was removed by an administrator".to_owned());
        let detail = Detail { change, ..Detail::default() };
        letters.queue(conn, &admitted.target.account, MailKind::SecondFactorChanged, &detail).await?;
        let ended = ends::end(conn, &Scope::Account(id), EndReason::Revoked, admitted.actor(), None).await?;
        Ok(Reset::Removed { ended })
    })
    .await
}
