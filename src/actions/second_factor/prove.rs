//! Checks a code of an authenticator app, or a recovery code, in the caller's transaction. Called by the sign-in, the
//! confirmation and [`finish`](super::finish).
//!
//! Locks: the counts of the try, in the order of their subjects. The caller has locked the account's row.
//!
//! Invariant: each try is counted in the transaction that knows its outcome, apart from the count of passwords. A code works
//! once for everything.

use std::time::Duration;

use subtle::ConstantTimeEq as _;

use crate::{
    actions::password_proof::{self, Claim},
    base::{
        db::Conn,
        error::Result,
        keys::{Sealed, SealingKeys},
        recovery_code::{self, RecoveryCode},
        totp::{self, Verified},
    },
    records::{
        account::Account,
        audit::{self, Event, Kind},
        mail::{Detail, MailKind},
        second_factor::{app, recovery, spent},
        session::{Amr, Sessions},
        throttle::{
            Subject,
            count::{self, Begun, Try},
        },
    },
};

/// The outcome of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proved {
    /// The code was right, and is used up.
    Yes(Amr),
    No(WrongCode),
    /// There were too many wrong codes. This one was not looked at.
    TooMany(Duration),
}

/// Why a code was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongCode {
    /// It is none of the account's codes.
    NoMatch,
    /// It was used before, or a later one was.
    Used,
    /// It is right on a clock that is so many minutes ahead, or behind if negative.
    ClockOff(i64),
}

impl WrongCode {
    /// What the person reads.
    pub fn in_words(self) -> String {
        match self {
            Self::NoMatch => "That code is not right. Check it and try again.".to_owned(),
            Self::Used => "That code was used already. Wait for the next one, then try again.".to_owned(),
            Self::ClockOff(-1) => "That code is too old. Type the one that is shown now.".to_owned(),
            Self::ClockOff(minutes) => {
                let (many, way) = (minutes.abs(), if minutes > 0 { "ahead" } else { "behind" });
                let unit = if many == 1 { "minute" } else { "minutes" };
                format!(
                    "That code does not fit the time. The clock of your phone seems to be about {many} {unit} {way}. Let it \
                     set its time by itself, then try again."
                )
            }
        }
    }
}

/// Checks a code for this account, and uses it up if it is right.
pub async fn prove(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    account: &Account,
    claim: &Claim,
    code: &str,
) -> Result<Proved> {
    let counted = match begin(conn, &account.id, claim).await? {
        Ok(counted) => counted,
        Err(wait) => return Ok(Proved::TooMany(wait)),
    };
    let proved = match is_app_code(code) {
        true => app_code(conn, &sessions.sealing, &account.id, code).await?,
        false => recovery_code(conn, sessions, account, claim, code).await?,
    };
    match &proved {
        Ok(_) => count::give_back(conn, &counted).await?,
        Err(_) => refused(conn, &counted, &account.id, claim).await?,
    }
    sessions.db.metrics().second_factor(match &proved {
        Ok(amr) if *amr == Amr::app_code() => "totp",
        Ok(_) => "recovery",
        Err(_) => "refused",
    });
    Ok(proved.map_or_else(Proved::No, Proved::Yes))
}

/// Checks the code of a form that is sent twice: it is the one that the account used last. Such a form is one sign-in. A miss
/// counts like any wrong code.
pub(super) async fn prove_again(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    account_id: &str,
    claim: &Claim,
    code: &str,
) -> Result<Proved> {
    let counted = match begin(conn, account_id, claim).await? {
        Ok(counted) => counted,
        Err(wait) => return Ok(Proved::TooMany(wait)),
    };
    match last_used(conn, &sessions.sealing, account_id, code).await? {
        Some(amr) => {
            count::give_back(conn, &counted).await?;
            Ok(Proved::Yes(amr))
        }
        None => {
            refused(conn, &counted, account_id, claim).await?;
            Ok(Proved::No(WrongCode::NoMatch))
        }
    }
}

/// Counts a wrong code, and records it.
async fn refused(conn: &mut Conn<'_>, counted: &Try, account_id: &str, claim: &Claim) -> Result<()> {
    count::keep(conn, counted).await?;
    password_proof::record_of(conn, Kind::SecondFactorFailed, account_id, claim).await
}

/// What the code proves, if it is the one that the account used last.
async fn last_used(conn: &mut Conn<'_>, keys: &SealingKeys, account_id: &str, code: &str) -> Result<Option<Amr>> {
    if is_app_code(code) {
        let Some(app) = app::find(conn, account_id).await? else { return Ok(None) };
        let last = totp::code(&keys.open(account_id, &app.secret)?, app.last_step);
        let is_last = recovery_code::normalize(code).as_bytes().ct_eq(last.as_bytes());
        return Ok(bool::from(is_last).then(Amr::app_code));
    }
    let Some(code) = RecoveryCode::parse(code) else { return Ok(None) };
    let all = recovery::all(conn, account_id).await?;
    let Some(last) = all.into_iter().filter(|stored| stored.used_at.is_some()).max_by_key(|stored| stored.used_at)
    else {
        return Ok(None);
    };
    let is_last = keys.open(account_id, &last.hash)?.ct_eq(code.hash().as_slice());
    Ok(bool::from(is_last).then(Amr::recovery_code))
}

/// Counts a try at a code. `Err` with the wait after too many wrong ones.
pub(in crate::actions) async fn begin(
    conn: &mut Conn<'_>,
    account_id: &str,
    claim: &Claim,
) -> Result<Result<Try, Duration>> {
    let (subjects, _) = password_proof::subjects_of(conn, claim, account_id).await?;
    let subjects: Vec<_> = subjects.into_iter().map(Subject::of_codes).collect();
    match count::begin(conn, &subjects).await? {
        Begun::Yes(counted) => Ok(Ok(counted)),
        Begun::No { wait, is_news, .. } => {
            if is_news {
                password_proof::record_of(conn, Kind::LoginThrottled, account_id, claim).await?;
            }
            Ok(Err(wait))
        }
    }
}

async fn app_code(
    conn: &mut Conn<'_>,
    keys: &SealingKeys,
    account_id: &str,
    code: &str,
) -> Result<Result<Amr, WrongCode>> {
    let Some(app) = app::find(conn, account_id).await? else { return Ok(Err(WrongCode::NoMatch)) };
    let secret = keys.open(account_id, &app.secret)?;
    match totp::verify(&secret, code, app.now, Some(app.last_step)) {
        Verified::Right(step) => {
            let is_new = !spent::is_spent(conn, account_id, &step_name(step, &app.secret)).await?;
            let is_accepted = is_new && app::accept(conn, account_id, step).await?;
            Ok(if is_accepted { Ok(Amr::app_code()) } else { Err(WrongCode::Used) })
        }
        Verified::Used => Ok(Err(WrongCode::Used)),
        Verified::ClockOff { step, minutes } => {
            // The answer tells that this code becomes right later. It must not work then.
            spent::spend(conn, account_id, &step_name(step, &app.secret)).await?;
            Ok(Err(WrongCode::ClockOff(minutes)))
        }
        Verified::Wrong => Ok(Err(WrongCode::NoMatch)),
    }
}

/// Names a step whose code is not accepted any more.
fn step_name(step: i64, secret: &Sealed) -> Vec<u8> {
    [format!("step {step} of ").as_bytes(), &secret.bytes].concat()
}

fn is_app_code(typed: &str) -> bool {
    recovery_code::is_app_code(&recovery_code::normalize(typed))
}

async fn recovery_code(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    account: &Account,
    claim: &Claim,
    code: &str,
) -> Result<Result<Amr, WrongCode>> {
    let Some(hash) = RecoveryCode::parse(code).map(|code| code.hash()) else { return Ok(Err(WrongCode::NoMatch)) };
    let mut found = None;
    // Compare with all codes, so that the time does not tell which one it was.
    for stored in recovery::all(conn, &account.id).await? {
        if bool::from(sessions.sealing.open(&account.id, &stored.hash)?.ct_eq(hash.as_slice())) {
            found = Some(stored);
        }
    }
    let Some(stored) = found else { return Ok(Err(WrongCode::NoMatch)) };
    if !recovery::spend(conn, &account.id, stored.number).await? {
        return Ok(Err(WrongCode::Used));
    }
    let left = recovery::left(conn, &account.id).await?;
    let event = Event::of(Kind::RecoveryUsed, &account.id).ip(claim.ip()).detail(&format!("{left} left"));
    audit::record(conn, &[event]).await?;
    let detail = Detail { ip: claim.ip().map(str::to_owned), ..Detail::default() };
    sessions.letters.queue(conn, account, MailKind::RecoveryCodeUsed, &detail).await?;
    Ok(Ok(Amr::recovery_code()))
}
