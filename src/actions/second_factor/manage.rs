//! A person adds and removes their authenticator app, and makes new recovery codes. Called by the pages about how one signs
//! in, and by the API.
//!
//! Locks of each transaction, in this order: the account's row, the counts of the code, the session, then the app and the
//! recovery codes.
//!
//! Invariant: each change needs a recent confirmation, with a second factor if the account has one. It is an event and a
//! mail, ends no session, and raises no level: a set-up proves nothing about the person.

use std::time::Duration;

use super::{
    codes::{make, make_with_first_factor},
    last::{self, Kept},
    prove::{WrongCode, begin},
};
use crate::{
    actions::password_proof::Claim,
    base::{
        db::{Conn, Instant},
        error::{Error, Result},
        recovery_code::{self, RecoveryCode},
        totp::{self, Verified},
    },
    records::{
        account::{self, Account, factors},
        audit::{self, Kind},
        mail::{Detail, MailKind},
        second_factor::{app, recovery},
        session::{Acting, CurrentUser, Reach, Sessions},
        throttle::count,
    },
};

/// How long after a set-up the same form counts as sent twice.
const SENT_TWICE: Duration = Duration::from_secs(60);

/// An authenticator app that the account does not have yet. Nothing is stored of it.
pub struct NewApp {
    /// Shown to the person, who gives it to the app.
    pub secret: Vec<u8>,
}

/// The outcome of adding an app.
pub enum Added {
    /// With the recovery codes, if this was the account's first factor.
    Yes(Option<Vec<RecoveryCode>>),
    /// The same form has just added it. With new recovery codes, because nobody may have seen those of the first answer.
    Again(Vec<RecoveryCode>),
    Wrong(WrongCode),
    /// The account has an app already.
    Exists,
}

/// The secret that this session sets an app up with. `None` if the account has an app already. The same session gets the
/// same secret until its account's factors change, on every node.
pub async fn new_app(sessions: &Sessions, user: &CurrentUser) -> Result<Option<NewApp>> {
    let id = user.account.id.clone();
    let read = async move |conn: &mut Conn<'_>| {
        Ok((app::exists(conn, &id).await?, factors::state(conn, &id).await?.ok_or(Error::NotFound)?))
    };
    let (exists, state) = sessions.db.read(read).await?;
    if exists {
        return Ok(None);
    }
    let derived = sessions.keys.derivation().derive(&set_up(&user.account.id, user.record.sid(), state.version))?;
    Ok(Some(NewApp { secret: totp::secret_of(&derived)?.to_vec() }))
}

/// What the secret of a set-up is derived from.
fn set_up(account_id: &str, sid: &str, version: i64) -> String {
    format!("totp set-up:{account_id}:{sid}:{version}")
}

/// What a transaction commits about a code.
enum Outcome {
    Added(Added),
    TooMany(Duration),
    SessionEnded,
}

/// Adds the app, if the code is one that it shows. The code then works for nothing else. A form that is sent twice is one
/// set-up. `None` if the session has ended.
///
/// # Errors
/// [`Error::ConfirmationRequired`], and [`Error::TooManyAttempts`] after too many wrong codes.
pub async fn add_app(
    sessions: &Sessions,
    (user, claim): (&CurrentUser, Claim),
    (code, is_form): (String, bool),
    ip: Option<&str>,
) -> Result<Option<Added>> {
    let (own, user, ip) = (sessions.clone(), user.clone(), ip.map(str::to_owned));
    let work = async move |conn: &mut Conn<'_>| add(conn, &own, (&user, &claim), (&code, is_form), ip.as_deref()).await;
    let outcome = sessions.db.write(work).await?;
    match outcome {
        Outcome::Added(added) => Ok(Some(added)),
        Outcome::TooMany(wait) => Err(Error::TooManyAttempts(wait)),
        Outcome::SessionEnded => Ok(None),
    }
}

async fn add(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    (user, claim): (&CurrentUser, &Claim),
    (code, is_form): (&str, bool),
    ip: Option<&str>,
) -> Result<Outcome> {
    let id = user.account.id.as_str();
    account::lock(conn, id).await?;
    let counted = match begin(conn, id, claim).await? {
        Ok(counted) => counted,
        Err(wait) => return Ok(Outcome::TooMany(wait)),
    };
    let (who, now) = match user.acting().hold_for_proofs(conn, Reach::Itself).await {
        Ok(Some(held)) => held,
        Ok(None) => {
            count::withdraw(conn, &counted).await?;
            return Ok(Outcome::SessionEnded);
        }
        Err(Error::ConfirmationRequired) if is_form => {
            count::withdraw(conn, &counted).await?;
            return add_again(conn, sessions, user, (code, ip)).await;
        }
        Err(error) => return Err(error),
    };
    if app::exists(conn, id).await? {
        count::withdraw(conn, &counted).await?;
        return Ok(Outcome::Added(Added::Exists));
    }
    let (secret, step) = match verify(conn, sessions, (user, now), code).await? {
        Ok(right) => right,
        Err(why) => {
            count::keep(conn, &counted).await?;
            return Ok(Outcome::Added(Added::Wrong(why)));
        }
    };
    count::give_back(conn, &counted).await?;
    app::add(conn, id, &sessions.sealing.seal(id, &secret)?, step).await?;
    let event = user.event(Kind::TotpAdded).session(&who.session_id).ip(ip);
    audit::record(conn, std::slice::from_ref(&event)).await?;
    let codes = make_with_first_factor(conn, sessions, (id, &event)).await?;
    report(conn, sessions, &user.account, ("An authenticator app was added", ip)).await?;
    Ok(Outcome::Added(Added::Yes(codes)))
}

/// A form that is sent twice is one set-up. The browser shows only the second answer, and that answer must have the codes.
///
/// # Errors
/// [`Error::ConfirmationRequired`] unless this session has just added the account's only factor with this very code.
async fn add_again(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    user: &CurrentUser,
    (code, ip): (&str, Option<&str>),
) -> Result<Outcome> {
    let id = user.account.id.as_str();
    let Some(who) = user.acting().hold_confirmed(conn, Reach::Itself).await? else { return Ok(Outcome::SessionEnded) };
    let Some(app) = app::find(conn, id).await? else { return Err(Error::ConfirmationRequired) };
    let state = factors::state(conn, id).await?.ok_or(Error::NotFound)?;
    let codes = recovery::uses(conn, id).await?;
    let is_young = codes.iter().all(|(made_at, used_at)| app.now.since(*made_at) < SENT_TWICE && used_at.is_none());
    let secret = sessions.sealing.open(id, &app.secret)?;
    let is_same_code = recovery_code::normalize(code) == totp::code(&secret, app.last_step);
    // The app and each set of codes have increased the version since.
    let mut subjects = (state.version - 3..=state.version - 2).map(|version| set_up(id, user.record.sid(), version));
    let derivation = sessions.keys.derivation();
    let is_its_secret = |subject: String| {
        derivation
            .candidates(&subject)
            .any(|derived| totp::secret_of(&derived).is_ok_and(|one| one.as_slice() == secret))
    };
    if state.count != 1 || codes.is_empty() || !is_young || !is_same_code || !subjects.any(is_its_secret) {
        return Err(Error::ConfirmationRequired);
    }
    let event = user.event(Kind::RecoveryMade).session(&who.session_id).ip(ip);
    make(conn, sessions, (id, &event)).await.map(|codes| Outcome::Added(Added::Again(codes)))
}

/// The secret whose app shows the code, and the code's step.
async fn verify(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    (user, now): (&CurrentUser, Instant),
    code: &str,
) -> Result<Result<(Vec<u8>, i64), WrongCode>> {
    let id = user.account.id.as_str();
    let version = factors::state(conn, id).await?.ok_or(Error::NotFound)?.version;
    let mut why = WrongCode::NoMatch;
    // The key file may have a new first key since the secret was shown.
    for derived in sessions.keys.derivation().candidates(&set_up(id, user.record.sid(), version)) {
        let secret = totp::secret_of(&derived)?;
        match totp::verify(&secret, code, now, None) {
            Verified::Right(step) => return Ok(Ok((secret.to_vec(), step))),
            Verified::ClockOff { minutes, .. } => why = WrongCode::ClockOff(minutes),
            Verified::Used | Verified::Wrong => {}
        }
    }
    Ok(Err(why))
}

/// The outcome of removing an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    Yes,
    /// There was none.
    None,
    Kept(Kept),
}

/// Removes the app. Returns `None` if the session has ended.
///
/// # Errors
/// [`Error::ConfirmationRequired`].
pub async fn remove_app(sessions: &Sessions, user: &CurrentUser, ip: Option<&str>) -> Result<Option<Removed>> {
    let (own, user, ip) = (sessions.clone(), user.clone(), ip.map(str::to_owned));
    sessions.db.write(async move |conn: &mut Conn<'_>| remove(conn, &own, &user, ip.as_deref()).await).await
}

async fn remove(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    user: &CurrentUser,
    ip: Option<&str>,
) -> Result<Option<Removed>> {
    let id = user.account.id.as_str();
    let Some((who, _)) = user.acting().hold_for_proofs(conn, Reach::Itself).await? else { return Ok(None) };
    if !app::exists(conn, id).await? {
        return Ok(Some(Removed::None));
    }
    if let Err(kept) = last::may_lose_one(conn, sessions, id).await? {
        return Ok(Some(Removed::Kept(kept)));
    }
    app::remove(conn, id).await?;
    last::after_removal(conn, id).await?;
    let event = user.event(Kind::TotpRemoved).session(&who.session_id).ip(ip);
    audit::record(conn, &[event]).await?;
    report(conn, sessions, &user.account, ("The authenticator app was removed", ip)).await?;
    Ok(Some(Removed::Yes))
}

/// The outcome of making new recovery codes.
pub enum Renewed {
    Yes(Vec<RecoveryCode>),
    /// The account has no second factor, so it needs no recovery codes.
    NoFactor,
}

/// Makes new recovery codes. The old ones no longer work. Returns `None` if the session has ended.
///
/// # Errors
/// [`Error::ConfirmationRequired`].
pub async fn renew_codes(sessions: &Sessions, user: &CurrentUser, ip: Option<&str>) -> Result<Option<Renewed>> {
    let (own, user, ip) = (sessions.clone(), user.clone(), ip.map(str::to_owned));
    sessions.db.write(async move |conn: &mut Conn<'_>| renew(conn, &own, &user, ip.as_deref()).await).await
}

async fn renew(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    user: &CurrentUser,
    ip: Option<&str>,
) -> Result<Option<Renewed>> {
    let id = user.account.id.as_str();
    let Some((who, _)) = user.acting().hold_for_proofs(conn, Reach::Itself).await? else { return Ok(None) };
    if factors::state(conn, id).await?.is_none_or(|state| state.count == 0) {
        return Ok(Some(Renewed::NoFactor));
    }
    let event = user.event(Kind::RecoveryMade).session(&who.session_id).ip(ip);
    let codes = make(conn, sessions, (id, &event)).await?;
    report(conn, sessions, &user.account, ("New recovery codes were made", ip)).await?;
    Ok(Some(Renewed::Yes(codes)))
}

/// Tells the person by mail what changed, in words. Does nothing if this instance sends no mail.
pub(in crate::actions) async fn report(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    account: &Account,
    (change, ip): (&str, Option<&str>),
) -> Result<()> {
    let detail = Detail { change: Some(change.to_owned()), ip: ip.map(str::to_owned), ..Detail::default() };
    sessions.letters.queue(conn, account, MailKind::SecondFactorChanged, &detail).await
}

/// Records that the person has seen that a recovery code was used, and that an administrator has removed their second
/// factors. Returns `None` if the session has ended.
pub async fn note_seen(sessions: &Sessions, acting: Acting) -> Result<Option<()>> {
    sessions
        .db
        .write(async move |conn: &mut Conn<'_>| {
            let Some(who) = acting.hold(conn, Reach::Itself).await? else { return Ok(None) };
            recovery::note_seen(conn, &who.account_id).await?;
            factors::told_of_reset(conn, &who.account_id).await?;
            Ok(Some(()))
        })
        .await
}
