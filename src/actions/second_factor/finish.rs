//! Finishes a sign-in with a code of the second factor. Called by the page `/login/second`. The passkeys finish theirs in
//! `actions::passkeys`, and also ask `admitted` whether the first step is still good.
//!
//! One transaction. Locks, in this order: the account's row, the counts of the code, its live sessions by id, the device.
//!
//! Invariant: the code, the state between and the session are used up and begun together, or not at all.

use super::{
    half::Half,
    prove::{Proved, WrongCode, prove, prove_again},
};
use crate::{
    actions::{
        new_session::{Visit, Welcome, begin, begin_again},
        password_proof::{Claim, Prover, keep_leaving, run_to_completion},
    },
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::{
        account::{self, Admission, factors},
        second_factor::spent,
        session::Sessions,
    },
};

/// The outcome of the second step.
pub enum Finished {
    /// The person is signed in.
    Yes(Box<Welcome>),
    Wrong(WrongCode),
    /// The first step is void: the password or the second factors have changed, the account was disabled, or it was used
    /// already. The person signs in again.
    Void,
}

enum Outcome {
    Finished(Finished),
    TooMany(std::time::Duration),
}

/// Checks the code and begins the session. Runs to completion even if the client disconnects.
///
/// # Errors
/// [`Error::TooManyAttempts`].
pub async fn finish(
    prover: &Prover,
    sessions: &Sessions,
    half: Half,
    code: String,
    claim: Claim,
    visit: Visit,
) -> Result<Finished> {
    let (prover, sessions) = (prover.clone(), sessions.clone());
    let outcome = run_to_completion(async move {
        let _turn = match &visit.form {
            Some(form) => prover.turns.wait(&form.hash()).await,
            None => None,
        };
        let work = async move |conn: &mut Conn<'_>| with_code(conn, &sessions, &half, &code, &claim, visit).await;
        prover.db.write(work).await
    })
    .await?;
    match outcome {
        Outcome::Finished(finished) => Ok(finished),
        Outcome::TooMany(wait) => Err(Error::TooManyAttempts(wait)),
    }
}

async fn with_code(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    half: &Half,
    code: &str,
    claim: &Claim,
    visit: Visit,
) -> Result<Outcome> {
    let Some(account) = admitted(conn, half).await? else { return Ok(Outcome::Finished(Finished::Void)) };
    if spent::is_spent(conn, &account.id, half.name()).await? {
        // A form that is sent twice is one sign-in.
        let amr = match prove_again(conn, sessions, &account.id, claim, code).await? {
            Proved::Yes(amr) => amr,
            Proved::No(_) => return Ok(Outcome::Finished(Finished::Void)),
            Proved::TooMany(wait) => return Ok(Outcome::TooMany(wait)),
        };
        let again = begin_again(conn, account, Visit { amr, ..visit }, sessions).await?;
        return Ok(Outcome::Finished(again.map_or(Finished::Void, |welcome| Finished::Yes(Box::new(welcome)))));
    }
    match prove(conn, sessions, &account, claim, code).await? {
        Proved::Yes(amr) => {
            spent::spend(conn, &account.id, half.name()).await?;
            keep_leaving(conn, &account.id, claim.ip()).await?;
            let welcome = begin(conn, account, Visit { amr, ..visit }, sessions).await?;
            Ok(Outcome::Finished(Finished::Yes(Box::new(welcome))))
        }
        Proved::No(why) => Ok(Outcome::Finished(Finished::Wrong(why))),
        Proved::TooMany(wait) => Ok(Outcome::TooMany(wait)),
    }
}

/// The account, with its row locked, if the first step is still good.
pub(crate) async fn admitted(conn: &mut Conn<'_>, half: &Half) -> Result<Option<account::Account>> {
    let admission = account::admit(conn, &half.account_id, half.password_changed_at()).await?;
    let state = factors::state(conn, &half.account_id).await?;
    let is_same = state.is_some_and(|state| state.version == half.factor_version && state.count > 0);
    if admission == Admission::No || !is_same {
        return Ok(None);
    }
    account::one(conn, &half.account_id).await
}
