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
        keys::SealingKeys,
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
            count::{self, Begun},
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
    let (subjects, _) = password_proof::subjects_of(conn, claim, &account.id).await?;
    let subjects: Vec<_> = subjects.into_iter().map(Subject::of_codes).collect();
    let counted = match count::begin(conn, &subjects).await? {
        Begun::Yes(counted) => counted,
        Begun::No { wait, is_news, .. } => {
            if is_news {
                password_proof::record_of(conn, Kind::LoginThrottled, &account.id, claim).await?;
            }
            return Ok(Proved::TooMany(wait));
        }
    };
    let proved = match is_app_code(code) {
        true => app_code(conn, &sessions.sealing, &account.id, code).await?,
        false => recovery_code(conn, sessions, account, claim, code).await?,
    };
    match &proved {
        Ok(_) => count::give_back(conn, &counted).await?,
        Err(_) => {
            count::keep(conn, &counted).await?;
            password_proof::record_of(conn, Kind::SecondFactorFailed, &account.id, claim).await?;
        }
    }
    sessions.db.metrics().second_factor(match &proved {
        Ok(amr) if *amr == Amr::app_code() => "totp",
        Ok(_) => "recovery",
        Err(_) => "refused",
    });
    Ok(proved.map_or_else(Proved::No, Proved::Yes))
}

/// Whether the code is one that this account has used: a form that is sent twice is one sign-in.
pub(super) async fn was_used(conn: &mut Conn<'_>, keys: &SealingKeys, account_id: &str, code: &str) -> Result<bool> {
    if is_app_code(code) {
        let Some(app) = app::find(conn, account_id).await? else { return Ok(false) };
        let secret = keys.open(account_id, &app.secret)?;
        return Ok(totp::verify(&secret, code, app.now, Some(app.last_step)) == Verified::Used);
    }
    let Some(hash) = RecoveryCode::parse(code).map(|code| code.hash()) else { return Ok(false) };
    for stored in recovery::all(conn, account_id).await?.iter().filter(|stored| stored.is_used) {
        if bool::from(keys.open(account_id, &stored.hash)?.ct_eq(hash.as_slice())) {
            return Ok(true);
        }
    }
    Ok(false)
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
            let is_new = !spent::is_spent(conn, account_id, &step_name(step)).await?;
            let is_accepted = is_new && app::accept(conn, account_id, step).await?;
            Ok(if is_accepted { Ok(Amr::app_code()) } else { Err(WrongCode::Used) })
        }
        Verified::Used => Ok(Err(WrongCode::Used)),
        Verified::ClockOff { step, minutes } => {
            // The answer tells that this code becomes right later. It must not work then.
            spent::spend(conn, account_id, &step_name(step)).await?;
            Ok(Err(WrongCode::ClockOff(minutes)))
        }
        Verified::Wrong => Ok(Err(WrongCode::NoMatch)),
    }
}

/// Names a step whose code is not accepted any more.
fn step_name(step: i64) -> Vec<u8> {
    format!("step {step}").into_bytes()
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
