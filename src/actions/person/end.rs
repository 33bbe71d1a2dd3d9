//! A manager ends sessions of somebody else. Called by the page and the API for people.
//!
//! Locks, in this order: both accounts by id, their sessions.
//!
//! Invariant: only sessions of the account that the manager may act on are ended.

use super::admitted::admit_over;
use crate::{
    actions::apps::manager::Manager,
    base::{
        db::{Conn, Db},
        error::{Error, Result},
    },
    records::{
        audit::Kind,
        device::known,
        session::{EndReason, Scope, SessionRef, ends, former, listing},
    },
};

/// Which sessions to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    All,
    /// The session with this id.
    Session(String),
    /// The sessions on the device with this id.
    OnDevice(String),
}

/// Ends sessions of the account with this id. Returns how many ended.
///
/// # Errors
/// [`Error::NotFound`] if there is no such account, session or device; [`Error::SessionEnded`],
/// [`Error::ConfirmationRequired`] and [`Error::Forbidden`].
pub async fn end(db: &Db, by: &Manager, id: &str, which: Which) -> Result<usize> {
    let (by, id) = (by.clone(), id.to_owned());
    db.write(async move |conn: &mut Conn<'_>| {
        let admitted = admit_over(conn, &by, &id).await?;
        let scope = match which {
            Which::All => Scope::Account(id),
            Which::Session(session) => {
                let session = former::present_id(conn, &id, &session).await?;
                listing::one(conn, &id, &session).await?.ok_or(Error::NotFound)?;
                Scope::One(SessionRef::new(&id, &session))
            }
            Which::OnDevice(device) => {
                known::one(conn, &id, &device).await?.ok_or(Error::NotFound)?;
                Scope::OnDevice { account: id, device }
            }
        };
        let ended = ends::end(conn, &scope, EndReason::Revoked, admitted.actor(), None).await?;
        if ended > 0 {
            admitted.record_counterpart(conn, Kind::SessionRevoked).await?;
        }
        Ok(ended)
    })
    .await
}
