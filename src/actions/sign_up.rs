//! A person creates their own account. Called by the sign-up page, where sign-up is open.
//!
//! Two transactions: [`new_password`](super::new_password) counts the attempt; the second one creates the account and
//! begins its session. Locks of the second: the new account's rows and the counts of the attempt.
//!
//! Invariant: the account and its first session are created together or not at all.

use super::{
    new_password::{Door, Newcomer, Prepared},
    new_session::{Welcome, begin},
    password_proof::{Prover, run_to_completion},
};
use crate::{
    base::{db::Conn, error::Result},
    records::{
        account::{self, Role},
        audit::{self, Event, Kind},
        session::Sessions,
    },
};

/// Counts the attempt, hashes the password, creates the account and begins its session. Returns `None` if the address
/// already has an account.
///
/// # Errors
/// [`Error::Invalid`](crate::base::error::Error::Invalid) for a password that is easy to guess;
/// [`Error::TooManyAttempts`](crate::base::error::Error::TooManyAttempts).
pub async fn sign_up(prover: &Prover, sessions: &Sessions, newcomer: Newcomer) -> Result<Option<Box<Welcome>>> {
    let (prover, sessions) = (prover.clone(), sessions.clone());
    run_to_completion(async move {
        let prepared = prover.prepare(newcomer, Role::Member, Door::SignUp).await?;
        prover.db.write(async move |conn: &mut Conn<'_>| create(conn, &sessions, prepared).await).await
    })
    .await
}

async fn create(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    Prepared { account, password, visit }: Prepared,
) -> Result<Option<Box<Welcome>>> {
    let Some(account) = account::create(conn, &account).await? else {
        password.refused(conn).await?;
        return Ok(None);
    };
    password.created(conn).await?;
    let created = Event::of(Kind::AccountCreated, &account.id).detail(Role::Member.as_str()).ip(visit.ip.as_deref());
    audit::record(conn, &[created]).await?;
    let welcome = begin(conn, account, visit, sessions).await?;
    Ok(Some(Box::new(welcome)))
}
