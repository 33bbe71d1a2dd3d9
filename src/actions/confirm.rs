//! A signed-in person enters their password again, which confirms an action and runs it at once. Called by the
//! confirmation page.
//!
//! Two transactions: [`password_proof`](super::password_proof) counts the attempt; the second one settles it, gives the
//! session a new key and ends the requested sessions. Locks of the second, in this order: the account's row, its live
//! sessions by id, then devices.
//!
//! Invariant: a confirmed session gets a new key, and its old key stops working in the same transaction.

use super::{
    end_sessions::{self, EndedSessions, Ending},
    password_proof::{Checked, Proof, Prover, run_to_completion},
};
use crate::{
    base::{db::Conn, error::Result},
    records::{
        audit::{self, Kind},
        session::{
            CurrentUser, SessionKey, Sessions, Who, listing,
            statements::{self, Rekeyed},
        },
    },
};

/// A request to confirm with a password.
pub struct Confirmation {
    pub user: CurrentUser,
    /// The session key that the request presented.
    pub key: SessionKey,
    /// The sessions or device to end once the password is confirmed.
    pub then: Option<Ending>,
    /// The client's IP address.
    pub ip: Option<String>,
}

/// The outcome of a confirmation.
pub enum Confirmed {
    Yes {
        /// The session's new key.
        key: SessionKey,
        /// The sessions that ended.
        ended: EndedSessions,
    },
    WrongPassword,
    /// The session ended before the confirmation was committed.
    SessionEnded,
}

/// Checks the password, gives the session a new key and carries out the requested ending, all or nothing. Runs to
/// completion even if the client disconnects.
///
/// # Errors
/// [`Error::TooManyAttempts`](crate::base::error::Error::TooManyAttempts).
pub async fn confirm(
    prover: &Prover,
    sessions: &Sessions,
    proof: Proof,
    confirmation: Confirmation,
) -> Result<Confirmed> {
    let (prover, sessions) = (prover.clone(), sessions.clone());
    run_to_completion(async move {
        let checked = prover.check(proof).await?;
        let settle = async move |conn: &mut Conn<'_>| settle(conn, &sessions, &checked, &confirmation).await;
        prover.db.write(settle).await
    })
    .await
}

async fn settle(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    checked: &Checked,
    Confirmation { user, key: old, then, ip }: &Confirmation,
) -> Result<Confirmed> {
    if !checked.settle(conn).await? {
        return Ok(Confirmed::WrongPassword);
    }
    let ip = ip.as_deref();
    // Lock all live sessions in id order before changing any of them.
    listing::lock_living(conn, &user.account.id).await?;
    let Some(Rekeyed { key, is_new }) = statements::rekey(conn, old, sessions, ip).await? else {
        return Ok(Confirmed::SessionEnded);
    };
    let confirmed = user.event(Kind::LoginConfirmed).ip(ip).session(key.id());
    let rotated =
        confirmed.clone().about(Kind::SessionRegenerated).detail(&format!("was {}", old.id())).of_confirmation();
    let events = if is_new { vec![confirmed, rotated] } else { vec![confirmed] };
    audit::record(conn, &events).await?;
    let Some(then) = then else {
        return Ok(Confirmed::Yes { key, ended: EndedSessions::default() });
    };
    let who = Who { session_id: key.id().to_owned(), ..user.who() };
    // `None` means that another request has already ended them.
    let ended = end_sessions::carry_out(conn, &who, then, ip).await?.unwrap_or_default();
    Ok(Confirmed::Yes { key, ended })
}
