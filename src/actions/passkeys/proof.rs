//! Checks the answer of a passkey in the caller's transaction, and records a refusal. Called by the sign-in and the
//! confirmation with a passkey.
//!
//! Locks: the count of the network. The caller has locked the account's row.
//!
//! Invariant: a try is counted before its answer is checked. A challenge is spent by the right answer only.

use std::time::Duration;

use super::tools::Tools;
use crate::{
    base::{
        db::Conn,
        error::{Error, Result},
        webauthn::{Outcome, Refused, StoredPasskey, UserHandle},
    },
    records::{
        account::Account,
        audit::{self, COPIED_PASSKEY, Event, Kind, WRONG_PASSKEY},
        mail::{Detail, MailKind},
        passkey::{self, Passkey},
        second_factor::spent,
        session::Amr,
        throttle::{
            Network, Subject,
            count::{self, Begun, Try},
        },
    },
};

/// A right answer. The caller notes the use once it knows the device.
pub(super) struct Proof {
    pub passkey: Passkey,
    /// The passkey's data, with the new counter.
    data: String,
    pub amr: Amr,
}

/// Why a passkey was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No account has this passkey: it was removed, or never belonged here.
    Unknown,
    /// The answer was wrong.
    Wrong(Refused),
    /// Its counter did not go up, so there may be a copy.
    Copied,
    /// The question was answered before.
    Spent,
    /// The account may not sign in, or the first step of the sign-in is void.
    NotAdmitted,
    /// There were too many refused answers from this network. This one was not looked at.
    TooMany(Duration),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let words = match refusal {
            // The browser is told that this passkey is of no use.
            Refusal::Unknown => return Self::PasskeyUnknown,
            Refusal::TooMany(wait) => return Self::TooManyAttempts(wait),
            Refusal::Wrong(why) => why.to_string(),
            Refusal::Copied => {
                "this passkey was refused, because a copy of it seems to exist: sign in another way, and \
                                replace it"
                    .to_owned()
            }
            Refusal::Spent => "this answer was used already: try again".to_owned(),
            Refusal::NotAdmitted => "signing in with this passkey is not possible now: start again".to_owned(),
        };
        Self::PasskeyRefused(words)
    }
}

/// Begins a try. `Err` with the wait after too many refused answers from this network.
pub(super) async fn begin(conn: &mut Conn<'_>, network: &Network) -> Result<Result<Try, Refusal>> {
    match count::begin(conn, &[Subject::address(network).of_codes()]).await? {
        Begun::Yes(counted) => Ok(Ok(counted)),
        Begun::No { wait, .. } => Ok(Err(Refusal::TooMany(wait))),
    }
}

/// Settles a try of a passkey that no account has. It does not count: nobody can guess a passkey, and anybody can make up
/// another one, so a count would only keep others on the same network from signing in.
pub(super) async fn unknown(conn: &mut Conn<'_>, tools: &Tools, counted: &Try) -> Result<Refusal> {
    count::withdraw(conn, counted).await?;
    tools.sessions.db.metrics().second_factor("refused");
    Ok(Refusal::Unknown)
}

/// Checks an answer and settles its try. `check` compares the answer with the stored passkey of the account, and `event`
/// says where it came from.
pub(super) async fn settle(
    conn: &mut Conn<'_>,
    tools: &Tools,
    account: &Account,
    (passkey, state): (Passkey, &[u8]),
    (counted, event): (&Try, Event),
    check: impl FnOnce(StoredPasskey<'_>) -> Result<Outcome>,
) -> Result<Result<Proof, Refusal>> {
    let stored = StoredPasskey { owner: UserHandle::of(&account.id), data: &passkey.data };
    let refusal = match check(stored) {
        Ok(Outcome::Right(used)) if spent::spend(conn, &account.id, state).await? => {
            count::give_back(conn, counted).await?;
            let amr = Amr::passkey(used.is_backup_eligible);
            return Ok(Ok(Proof { passkey, data: used.data, amr }));
        }
        Ok(Outcome::Right(_)) => Refusal::Spent,
        // A repeated answer has an old counter too, and is no sign of a copy.
        Ok(Outcome::CounterWentBack { .. }) if spent::is_spent(conn, &account.id, state).await? => Refusal::Spent,
        Ok(Outcome::CounterWentBack { .. }) => Refusal::Copied,
        Ok(Outcome::Wrong(why)) => Refusal::Wrong(why),
        Err(error) => return Err(error),
    };
    count::keep(conn, counted).await?;
    tools.sessions.db.metrics().second_factor("refused");
    let detail = if refusal == Refusal::Copied { COPIED_PASSKEY } else { WRONG_PASSKEY };
    let ip = event.client_ip();
    audit::record(conn, &[event.about(Kind::SecondFactorFailed).detail(detail)]).await?;
    if refusal == Refusal::Copied && passkey::note_warning(conn, &account.id, &passkey.id).await? {
        let change = Some("A passkey of your account was used with an old counter".to_owned());
        let detail = Detail { ip, change, ..Detail::default() };
        tools.sessions.letters.queue(conn, account, MailKind::PasskeyCopied, &detail).await?;
    }
    Ok(Err(refusal))
}

/// Notes the use of a passkey on a device, and records it. `event` is of the session that it began or confirmed.
pub(super) async fn note_use(
    conn: &mut Conn<'_>,
    tools: &Tools,
    account_id: &str,
    proof: &Proof,
    (device, event): (Option<&str>, Event),
) -> Result<()> {
    passkey::note_use(conn, account_id, &proof.passkey.id, &proof.data, device).await?;
    audit::record(conn, &[event.about(Kind::PasskeyUsed).detail(&proof.passkey.name)]).await?;
    tools.sessions.db.metrics().second_factor("passkey");
    Ok(())
}
