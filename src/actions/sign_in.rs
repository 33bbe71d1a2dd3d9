//! Signs a person in with a password. Called by the login page and the API. The setup and sign-up pages also call
//! [`sign_in_again`], because their forms may be sent twice.
//!
//! Two transactions: [`password_proof`] counts the attempt; the second one settles the attempt and begins the session.
//! Locks of the second, in this order: the account's row, its live sessions by id, the device.
//!
//! Invariant: the attempt's count, the device, the session and the audit events are committed together while the
//! account's row is locked. The session id always changes, except when a repeated login resumes its own session. No
//! account exceeds its session limit.

use super::{
    new_session::{Visit, Welcome, begin, begin_again},
    password_proof::{self, Checked, Proof, Prover},
};
use crate::{
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::{
        account,
        session::{Sessions, statements},
    },
};

/// Checks a password and, if it is right, begins a session. Returns `None` for a wrong password, an unknown account or
/// a disabled account, so that the caller cannot reveal which it was. Runs to completion even if the client
/// disconnects.
///
/// # Errors
/// [`Error::TooManyAttempts`].
pub async fn sign_in(prover: &Prover, sessions: &Sessions, proof: Proof, visit: Visit) -> Result<Option<Box<Welcome>>> {
    let signed_in = check_and_begin(prover.clone(), sessions.clone(), proof, visit).await;
    sessions.db.metrics().login(match &signed_in {
        Ok(Some(_)) => "welcome",
        Ok(None) => "refused",
        Err(Error::TooManyAttempts(_)) => "throttled",
        Err(_) => "failed",
    });
    signed_in
}

async fn check_and_begin(
    prover: Prover,
    sessions: Sessions,
    proof: Proof,
    visit: Visit,
) -> Result<Option<Box<Welcome>>> {
    password_proof::run_to_completion(async move {
        // A form that is sent twice is one login. The second request waits and finds the session of the first.
        let _turn = match &visit.form {
            Some(form) => prover.turns.wait(&form.hash()).await,
            None => None,
        };
        let checked = prover.check(proof).await?;
        prover.db.write(async move |conn: &mut Conn<'_>| settle(conn, checked, visit, &sessions).await).await
    })
    .await
}

async fn settle(
    conn: &mut Conn<'_>,
    checked: Checked,
    visit: Visit,
    sessions: &Sessions,
) -> Result<Option<Box<Welcome>>> {
    if !checked.settle(conn).await? {
        return Ok(None);
    }
    let welcome = begin(conn, checked.into_account()?, visit, sessions).await?;
    Ok(Some(Box::new(welcome)))
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
        let again = async move |conn: &mut Conn<'_>| match checked.settle(conn).await? {
            true => begin_again(conn, checked.into_account()?, visit, &sessions).await,
            false => Ok(None),
        };
        prover.db.write(again).await
    })
    .await
    .map(|welcome| welcome.map(Box::new))
}
