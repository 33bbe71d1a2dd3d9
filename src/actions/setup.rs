//! The first start: the holder of the one-time setup link creates the owner's account. Called by the setup page.
//!
//! Two transactions: [`new_password`](super::new_password) counts the attempt; the second one creates the account.
//! Locks of the second, in this order: the instance's row, the counts of the attempt, the new account's rows.
//!
//! Invariant: a link creates at most one owner, and an instance that has an owner accepts no link.

use super::{
    new_password::{Door, Newcomer, Prepared},
    new_session::{Welcome, begin},
    password_proof::{Prover, run_to_completion},
};
use crate::{
    base::{
        db::{Conn, Db},
        error::Result,
        secret::Secret,
    },
    records::{
        account::{self, Role},
        audit::{self, Event, Kind},
        instance,
        session::Sessions,
    },
};

/// The state of a setup link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The link may be used.
    Good,
    /// The link never existed, has expired, or was used.
    Bad,
    /// The instance already has an owner.
    NotNeeded,
}

/// The outcome of creating the owner.
pub enum CreatedOwner {
    /// The owner was created and is signed in.
    Yes(Box<Welcome>),
    /// The address already has an account.
    AddressTaken,
    /// The link cannot be used.
    Refused(Link),
}

/// Checks whether a link can be used now.
pub async fn check_link(db: &Db, link: &Secret) -> Result<Link> {
    let link = link.clone();
    db.read(async move |conn: &mut Conn<'_>| check_link_in(conn, &link).await).await
}

async fn check_link_in(conn: &mut Conn<'_>, link: &Secret) -> Result<Link> {
    if account::has_owner(conn).await? {
        return Ok(Link::NotNeeded);
    }
    let good = instance::is_setup_link(conn, link).await?;
    Ok(if good { Link::Good } else { Link::Bad })
}

/// Creates the owner, uses up the link and begins the owner's session, all or nothing. Call [`check_link`] first, before a
/// password is counted and hashed. The transaction checks the link once more.
///
/// # Errors
/// [`Error::Invalid`](crate::base::error::Error::Invalid) for a password that is easy to guess;
/// [`Error::TooManyAttempts`](crate::base::error::Error::TooManyAttempts).
pub async fn create_owner(
    prover: &Prover,
    sessions: &Sessions,
    link: Secret,
    newcomer: Newcomer,
) -> Result<CreatedOwner> {
    let (prover, sessions) = (prover.clone(), sessions.clone());
    run_to_completion(async move {
        let prepared = prover.prepare(newcomer, Role::Owner, Door::Link).await?;
        let create = async move |conn: &mut Conn<'_>| create(conn, &sessions, &link, prepared).await;
        prover.db.write(create).await
    })
    .await
}

async fn create(
    conn: &mut Conn<'_>,
    sessions: &Sessions,
    link: &Secret,
    Prepared { account, password, visit }: Prepared,
) -> Result<CreatedOwner> {
    instance::lock(conn).await?;
    let checked = check_link_in(conn, link).await?;
    if checked != Link::Good {
        password.refused(conn).await?;
        return Ok(CreatedOwner::Refused(checked));
    }
    let Some(account) = account::create(conn, &account).await? else {
        password.refused(conn).await?;
        return Ok(CreatedOwner::AddressTaken);
    };
    password.created(conn).await?;
    instance::close_setup(conn).await?;
    let created = Event::of(Kind::AccountCreated, &account.id).detail(Role::Owner.as_str()).ip(visit.ip.as_deref());
    audit::record(conn, &[created]).await?;
    let welcome = begin(conn, account, visit, sessions).await?;
    Ok(CreatedOwner::Yes(Box::new(welcome)))
}
