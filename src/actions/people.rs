//! What an operator does with accounts. Called by the `user` commands.
//!
//! Locks, in this order: the instance's row where an owner comes or goes, the account's row, its live sessions by id.
//!
//! Invariant: at least one enabled owner stays.

use crate::{
    base::{
        db::{Conn, Db},
        error::Result,
    },
    records::{
        account::{self, Account, EmailAddress, Role},
        audit::{self, Event, Kind, OPERATOR},
        instance,
        session::{EndReason, Scope, ends},
    },
};

/// What came of disabling an account.
pub enum Disabled {
    /// It is disabled; with the number of sessions that ended.
    Yes(usize),
    /// It is the last owner who can sign in.
    LastOwner,
    /// There is no such account.
    Unknown,
}

/// Creates an account; `None` when the address has one. The first owner closes the setup.
pub async fn add(db: &Db, new: account::New) -> Result<Option<Account>> {
    db.write(async move |conn: &mut Conn<'_>| {
        instance::lock(conn).await?;
        let Some(account) = account::create(conn, &new).await? else {
            return Ok(None);
        };
        let event = Event::of(Kind::AccountCreated, &account.id).by(OPERATOR).detail(new.role.as_str());
        audit::record(conn, &[event]).await?;
        if new.role == Role::Owner {
            instance::close_setup(conn).await?;
        }
        Ok(Some(account))
    })
    .await
}

/// Forbids an account to sign in, and ends its sessions.
pub async fn disable(db: &Db, address: &EmailAddress) -> Result<Disabled> {
    let email_key = address.key().to_owned();
    db.write(async move |conn: &mut Conn<'_>| {
        // Two owners who are disabled at the same time must not each count on the other.
        instance::lock(conn).await?;
        let Some(account) = find(conn, &email_key).await? else {
            return Ok(Disabled::Unknown);
        };
        if account.role == Role::Owner && !account::has_other_owner(conn, &account.id).await? {
            return Ok(Disabled::LastOwner);
        }
        if account::disable(conn, &account.id).await? {
            audit::record(conn, &[Event::of(Kind::AccountDisabled, &account.id).by(OPERATOR)]).await?;
        }
        let all = Scope::Account(account.id);
        ends::end(conn, &all, EndReason::AccountDisabled, OPERATOR, None).await.map(Disabled::Yes)
    })
    .await
}

/// Allows an account to sign in again; `None` when there is no such account.
pub async fn enable(db: &Db, address: &EmailAddress) -> Result<Option<()>> {
    let email_key = address.key().to_owned();
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(account) = find(conn, &email_key).await? else {
            return Ok(None);
        };
        if account::enable(conn, &account.id).await? {
            audit::record(conn, &[Event::of(Kind::AccountEnabled, &account.id).by(OPERATOR)]).await?;
        }
        Ok(Some(()))
    })
    .await
}

/// Gives an account a new password and ends its sessions; how many ended. `None` when there is no such account.
pub async fn set_password(db: &Db, address: &EmailAddress, hash: String) -> Result<Option<usize>> {
    let email_key = address.key().to_owned();
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(Account { id, .. }) = find(conn, &email_key).await? else {
            return Ok(None);
        };
        account::set_password(conn, &id, &hash).await?;
        audit::record(conn, &[Event::of(Kind::PasswordChanged, &id).by(OPERATOR)]).await?;
        ends::end(conn, &Scope::Account(id), EndReason::PasswordChanged, OPERATOR, None).await.map(Some)
    })
    .await
}

async fn find(conn: &mut Conn<'_>, email_key: &str) -> Result<Option<Account>> {
    Ok(account::find_credentials(conn, email_key).await?.map(|found| found.account))
}
