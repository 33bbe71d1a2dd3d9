//! Signs a person in with a password. Called by the login page and the API. The setup and sign-up pages also call
//! [`sign_in_again`], because their forms may be sent twice.
//!
//! Two transactions: [`password_proof`] counts the attempt; the second one settles the attempt and begins the session.
//! Locks of the second, in this order: the account's row, the counts of the password and of the code, its live sessions by
//! id, the device.
//!
//! Invariant: the attempt's count, the device, the session and the audit events are committed together while the
//! account's row is locked. The session id always changes, except when a repeated login resumes its own session. No
//! account exceeds its session limit.

use std::time::Duration;

use super::{
    new_session::{Visit, Welcome, begin, begin_again},
    password_proof::{self, Checked, Proof, Prover},
    second_factor::{
        half::{Half, HalfSignedIn},
        prove::{Proved, WrongCode, prove},
    },
};
use crate::{
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::{
        account::{self, factors},
        second_factor,
        session::{Sessions, statements},
    },
};

/// The outcome of a sign-in with a password.
pub enum SignedIn {
    Yes(Box<Welcome>),
    /// The password was right, and the account has a second factor. `wrong` says why the code that was sent with the
    /// password was refused.
    Half {
        step: Box<HalfSignedIn>,
        wrong: Option<WrongCode>,
    },
    /// A wrong password, an unknown account or a disabled account. The caller cannot reveal which it was.
    No,
}

/// Checks a password and, if it is right, begins a session, unless the account needs a second factor that `code` does not
/// prove. Runs to completion even if the client disconnects.
///
/// # Errors
/// [`Error::TooManyAttempts`], for passwords and for codes.
pub async fn sign_in(
    prover: &Prover,
    sessions: &Sessions,
    proof: Proof,
    code: Option<String>,
    visit: Visit,
) -> Result<SignedIn> {
    let signed_in = check_and_begin(prover.clone(), sessions.clone(), proof, code, visit).await;
    sessions.db.metrics().login(match &signed_in {
        Ok(SignedIn::Yes(_)) => "welcome",
        Ok(SignedIn::Half { .. }) => "second-factor",
        Ok(SignedIn::No) => "refused",
        Err(Error::TooManyAttempts(_)) => "throttled",
        Err(_) => "failed",
    });
    signed_in
}

async fn check_and_begin(
    prover: Prover,
    sessions: Sessions,
    proof: Proof,
    code: Option<String>,
    visit: Visit,
) -> Result<SignedIn> {
    let settled = password_proof::run_to_completion(async move {
        // A form that is sent twice is one login. The second request waits and finds the session of the first.
        let _turn = match &visit.form {
            Some(form) => prover.turns.wait(&form.hash()).await,
            None => None,
        };
        let checked = prover.check(proof).await?;
        let work = async move |conn: &mut Conn<'_>| settle(conn, checked, code.as_deref(), visit, &sessions).await;
        prover.db.write(work).await
    })
    .await?;
    match settled {
        Settled::Done(signed_in) => Ok(signed_in),
        Settled::TooManyCodes(wait) => Err(Error::TooManyAttempts(wait)),
    }
}

/// What the transaction commits.
enum Settled {
    Done(SignedIn),
    TooManyCodes(Duration),
}

async fn settle(
    conn: &mut Conn<'_>,
    checked: Checked,
    code: Option<&str>,
    visit: Visit,
    sessions: &Sessions,
) -> Result<Settled> {
    if !checked.settle(conn).await? {
        return Ok(Settled::Done(SignedIn::No));
    }
    let (claim, password_changed_at) = (checked.claim().clone(), checked.password_changed_at());
    let account = checked.into_account()?;
    let state = factors::state(conn, &account.id).await?.filter(|state| state.count > 0);
    let (Some(state), Some(password_changed_at)) = (state, password_changed_at) else {
        let welcome = begin(conn, account, visit, sessions).await?;
        return Ok(Settled::Done(SignedIn::Yes(Box::new(welcome))));
    };
    let wrong = match code {
        None => None,
        Some(code) => match prove(conn, sessions, &account, &claim, code).await? {
            Proved::Yes(amr) => {
                password_proof::keep_leaving(conn, &account.id, claim.ip()).await?;
                let welcome = begin(conn, account, Visit { amr, ..visit }, sessions).await?;
                return Ok(Settled::Done(SignedIn::Yes(Box::new(welcome))));
            }
            Proved::No(why) => Some(why),
            Proved::TooMany(wait) => return Ok(Settled::TooManyCodes(wait)),
        },
    };
    let methods = second_factor::methods(conn, &account.id).await?;
    let now = sessions.clock.now();
    let half = Half::new(&account.id, claim.email_key(), password_changed_at, state.version, now)?;
    Ok(Settled::Done(SignedIn::Half { step: Box::new(HalfSignedIn { half, methods }), wrong }))
}

/// Signs in to an account that the same form created a moment ago, after a double submit or a lost response. Returns
/// `None` if there is no such session or the password differs. Runs the same database queries whether or not the
/// account exists.
///
/// # Errors
/// [`Error::TooManyAttempts`].
pub async fn sign_in_again(
    prover: &Prover,
    sessions: &Sessions,
    proof: Proof,
    visit: Visit,
) -> Result<Option<Box<Welcome>>> {
    let (names, email_key) = (visit.names(), proof.claim.email_key().to_owned());
    let keys = sessions.keys.clone();
    let begun = async move |conn: &mut Conn<'_>| {
        let found = account::find_credentials(conn, &email_key).await?;
        statements::begun_by(conn, password_proof::id_or_nobody(found.as_ref()), &names, &keys).await
    };
    if sessions.db.read(begun).await?.is_none() {
        return Ok(None);
    }
    let (prover, sessions) = (prover.clone(), sessions.clone());
    password_proof::run_to_completion(async move {
        let checked = prover.check(proof).await?;
        let again = async move |conn: &mut Conn<'_>| {
            if !checked.settle(conn).await? {
                return Ok(None);
            }
            let account = checked.into_account()?;
            // The form that created the account cannot prove a second factor that was added since.
            if factors::state(conn, &account.id).await?.is_some_and(|state| state.count > 0) {
                return Ok(None);
            }
            begin_again(conn, account, visit, &sessions).await
        };
        prover.db.write(again).await
    })
    .await
    .map(|welcome| welcome.map(Box::new))
}
