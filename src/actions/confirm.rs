//! A signed-in person enters their password again, which confirms an action and runs it at once. Called by the
//! confirmation page.
//!
//! Two transactions: [`password_proof`](super::password_proof) counts the attempt; the second one settles it, gives the
//! session a new key and ends the requested sessions. Locks of the second, in this order: the account's row, the counts, its
//! live sessions by id, then devices.
//!
//! Invariant: a confirmed session gets a new key, and its old key stops working in the same transaction.

use std::time::Duration;

use super::{
    end_sessions::{self, EndedSessions, Ending},
    password_proof::{Checked, Proof, Prover, run_to_completion},
    second_factor::prove::{Proved, WrongCode, prove},
};
use crate::{
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::{
        audit::{self, Kind},
        session::{
            Amr, CurrentUser, SessionKey, Sessions, Who, listing,
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
    /// A code of the second factor, given with the password.
    pub code: Option<String>,
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
    /// The password was right, and the code was not.
    WrongCode(WrongCode),
    /// The session ended before the confirmation was committed.
    SessionEnded,
}

/// Checks the password, gives the session a new key and carries out the requested ending, all or nothing. Runs to
/// completion even if the client disconnects.
///
/// # Errors
/// [`Error::TooManyAttempts`].
pub async fn confirm(
    prover: &Prover,
    sessions: &Sessions,
    proof: Proof,
    confirmation: Confirmation,
) -> Result<Confirmed> {
    let (prover, sessions) = (prover.clone(), sessions.clone());
    let settled = run_to_completion(async move {
        let checked = prover.check(proof).await?;
        let settle = async move |conn: &mut Conn<'_>| settle(conn, &sessions, &checked, &confirmation).await;
        prover.db.write(settle).await
    })
    .await?;
    settled.map_err(Error::TooManyAttempts)
}

/// `Err` with the wait after too many wrong codes.
async fn settle(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    checked: &Checked,
    Confirmation { user, key: old, then, code, ip }: &Confirmation,
) -> Result<Result<Confirmed, Duration>> {
    if !checked.settle(conn).await? {
        return Ok(Ok(Confirmed::WrongPassword));
    }
    let amr = match code {
        None => None,
        Some(code) => match prove(conn, sessions, &user.account, checked.claim(), code).await? {
            Proved::Yes(amr) => Some(amr),
            Proved::No(why) => return Ok(Ok(Confirmed::WrongCode(why))),
            Proved::TooMany(wait) => return Ok(Err(wait)),
        },
    };
    complete(conn, sessions, (user, old), amr.as_ref(), then.as_ref(), ip.as_deref()).await.map(Ok)
}

/// Gives the session a new key, notes what was given, and carries out the ending. The caller has locked the account's row.
pub(super) async fn complete(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    (user, old): (&CurrentUser, &SessionKey),
    amr: Option<&Amr>,
    then: Option<&Ending>,
    ip: Option<&str>,
) -> Result<Confirmed> {
    // Lock all live sessions in id order before changing any of them.
    listing::lock_living(conn, &user.account.id).await?;
    let Some(Rekeyed { key, is_new }) = statements::rekey(conn, old, sessions, ip).await? else {
        return Ok(Confirmed::SessionEnded);
    };
    if let Some(amr) = amr {
        statements::prove(conn, &user.account.id, key.id(), amr).await?;
    }
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
