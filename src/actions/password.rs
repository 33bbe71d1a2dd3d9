//! A signed-in person replaces their password. Called by the account page; operators use [`people`](super::people).
//!
//! Two transactions: [`password_proof`](super::password_proof) counts the try; the second one settles it, stores the new
//! hash, gives the session a new key and ends the others. Locks of the second, in this order: the account's row, its live
//! sessions by id, then devices.
//!
//! Invariant: a new password is chosen only by somebody who knows the present one.

use super::password_proof::{Proof, Prover, run_to_completion};
use crate::{
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::{
        account,
        audit::{self, Kind},
        device::{self, arrivals},
        session::{
            CurrentUser, EndReason, Scope, SessionKey, Sessions, ends, listing,
            statements::{self, Rekeyed},
        },
    },
};

/// Who replaces their password, and by what.
pub struct PasswordChange {
    /// The person.
    pub user: CurrentUser,
    /// The session key that the request presented.
    pub key: SessionKey,
    /// The new password.
    pub new: String,
    /// Whether all other sessions end.
    pub end_others: bool,
    /// Where the request came from.
    pub ip: Option<String>,
}

/// What came of it.
pub enum ChangedPassword {
    /// It was replaced; with the session's new key.
    Yes(SessionKey),
    /// The present password was wrong.
    WrongPassword,
    /// The new password cannot be used, or cannot be hashed just now.
    NotChosen(Error),
    /// The session ended meanwhile.
    SessionEnded,
}

/// Checks the present password and replaces it, gives this session a new key and ends the others, all or nothing. Hashes
/// the new password, which is expensive, only for somebody who knows the present one. Runs to completion even if the client
/// hangs up.
///
/// # Errors
/// [`Error::TooManyAttempts`].
pub async fn change_password(
    prover: &Prover,
    sessions: &Sessions,
    proof: Proof,
    change: PasswordChange,
) -> Result<ChangedPassword> {
    let (prover, sessions) = (prover.clone(), sessions.clone());
    run_to_completion(async move {
        let checked = prover.check(proof).await?;
        let account = &change.user.account;
        let new_hash = match checked.is_right() {
            true => {
                let about = vec![account.name.clone(), account.email.clone()];
                prover.replace(&checked, change.new.clone(), about).await
            }
            false => Ok(String::new()),
        };
        let work = async move |conn: &mut Conn<'_>| {
            if !checked.settle(conn).await? {
                return Ok(ChangedPassword::WrongPassword);
            }
            match new_hash {
                Ok(hash) => replace(conn, &sessions, &change, &hash).await,
                Err(error) => Ok(ChangedPassword::NotChosen(error)),
            }
        };
        prover.db.write(work).await
    })
    .await
}

async fn replace(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    change: &PasswordChange,
    new_hash: &str,
) -> Result<ChangedPassword> {
    let PasswordChange { user, key: old, end_others, ip, .. } = change;
    let (id, ip) = (user.account.id.as_str(), ip.as_deref());
    // By id, before one of them is changed.
    listing::lock_living(conn, id).await?;
    let Some(Rekeyed { key, is_new }) = statements::rekey(conn, old, sessions, ip).await? else {
        return Ok(ChangedPassword::SessionEnded);
    };
    account::set_password(conn, id, new_hash).await?;
    // Only this session has confirmed the new password.
    statements::confirm(conn, id, key.id()).await?;
    if let Some(device) = &user.record.device_id {
        device::prove(conn, id, device).await?;
    }
    let changed = user.event(Kind::PasswordChanged).session(key.id()).ip(ip);
    let rotated = changed.clone().about(Kind::SessionRegenerated).detail(&format!("was {}", old.id()));
    let events = if is_new { vec![changed, rotated] } else { vec![changed] };
    audit::record(conn, &events).await?;
    if *end_others {
        let others = Scope::Others { account: id.to_owned(), but: key.id().to_owned() };
        ends::end(conn, &others, EndReason::PasswordChanged, id, ip).await?;
        if let Some(device) = &user.record.device_id {
            arrivals::set(conn, id, device).await?;
        }
    }
    Ok(ChangedPassword::Yes(key))
}
