//! A signed-in person changes their password. Called by the account page. Operators use [`people`](super::people).
//!
//! Two transactions: [`password_proof`](super::password_proof) counts the attempt; the second one settles it, stores
//! the new hash, gives the session a new key and ends the others. Locks of the second, in this order: the account's
//! row, its live sessions by id, then devices.
//!
//! Invariant: changing the password requires the current password, and a second factor that was given recently if the
//! account has one.

use super::password_proof::{Proof, Prover, run_to_completion};
use crate::{
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::{
        account::{self, hasher::ChosenPassword},
        audit::{self, Kind},
        device::{self, arrivals},
        help,
        link::{self, Purpose},
        mail::{Detail, MailKind},
        session::{
            CurrentUser, EndReason, Reach, Scope, SessionKey, Sessions, ends,
            statements::{self, Rekeyed},
        },
    },
};

/// A request to change a password.
pub struct PasswordChange {
    pub user: CurrentUser,
    /// The session key that the request presented.
    pub key: SessionKey,
    pub new: String,
    /// Whether to end all other sessions.
    pub end_others: bool,
    /// The client's IP address.
    pub ip: Option<String>,
}

/// The outcome of a password change.
pub enum ChangedPassword {
    /// The password was changed. Contains the session's new key.
    Yes(SessionKey),
    /// The current password was wrong.
    WrongPassword,
    /// The new password was refused, or cannot be hashed at the moment.
    NotChosen(Error),
    /// The session ended before the change was committed.
    SessionEnded,
}

/// Checks the current password and replaces it, gives this session a new key and ends the others, all or nothing.
/// Hashing is expensive, so the new password is hashed only after the current one proved right. Runs to completion even
/// if the client disconnects.
///
/// # Errors
/// [`Error::TooManyAttempts`]; [`Error::ConfirmationRequired`] if the account has a second factor that was not given recently.
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
        let chosen = match checked.is_right() {
            true => {
                let about = vec![account.name.clone(), account.email.clone()];
                prover.replace(&checked, change.new.clone(), about).await
            }
            false => Err(Error::bug("a wrong password was replaced")),
        };
        let work = async move |conn: &mut Conn<'_>| {
            if !checked.settle(conn).await? {
                return Ok(ChangedPassword::WrongPassword);
            }
            match chosen {
                Ok(chosen) => replace(conn, &sessions, &change, &chosen).await,
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
    new: &ChosenPassword,
) -> Result<ChangedPassword> {
    let PasswordChange { user, key: old, end_others, ip, .. } = change;
    let (id, ip) = (user.account.id.as_str(), ip.as_deref());
    if user.acting().hold_with_second_factor(conn, Reach::AllSessions).await?.is_none() {
        return Ok(ChangedPassword::SessionEnded);
    }
    let Some(Rekeyed { key, is_new }) = statements::rekey(conn, old, sessions, ip).await? else {
        return Ok(ChangedPassword::SessionEnded);
    };
    account::set_password(conn, id, new).await?;
    for purpose in [Purpose::Password, Purpose::HandOver] {
        link::end(conn, id, purpose).await?;
    }
    help::settle(conn, id).await?;
    // Only this session has confirmed the new password.
    statements::confirm(conn, id, key.id()).await?;
    if let Some(device) = &user.record.device_id {
        device::prove(conn, id, device).await?;
    }
    let changed = user.event(Kind::PasswordChanged).session(key.id()).ip(ip);
    let rotated = changed.clone().about(Kind::SessionRegenerated).detail(&format!("was {}", old.id()));
    let events = if is_new { vec![changed, rotated] } else { vec![changed] };
    audit::record(conn, &events).await?;
    let detail = Detail { ip: ip.map(str::to_owned), ..Detail::default() };
    sessions.letters.queue(conn, &user.account, MailKind::PasswordChanged, &detail).await?;
    if *end_others {
        let others = Scope::Others { account: id.to_owned(), but: key.id().to_owned() };
        ends::end(conn, &others, EndReason::PasswordChanged, id, ip).await?;
        if let Some(device) = &user.record.device_id {
            arrivals::set(conn, id, device).await?;
        }
    }
    Ok(ChangedPassword::Yes(key))
}
