//! An operator creates and manages accounts. Called by the `user` commands.
//!
//! Locks, in this order: the instance's row if the set of owners may change, the account's row, its live sessions by
//! id.
//!
//! Invariant: at least one enabled owner remains.

use crate::{
    base::{
        db::{Conn, Db},
        error::Result,
    },
    records::{
        account::{self, Account, EmailAddress, Role},
        audit::{self, Event, Kind, OPERATOR},
        help, instance,
        link::{self, Purpose},
        session::{EndReason, Scope, ends},
    },
};

/// The outcome of disabling an account.
pub enum Disabled {
    /// The account is disabled. Contains the number of sessions that ended.
    Yes(usize),
    /// The account is the last enabled owner.
    LastOwner,
    /// No such account exists.
    Unknown,
}

/// Creates an account. Returns `None` if the address already has an account. Creating the first owner closes the setup.
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

/// Disables an account and ends its sessions.
pub async fn disable(db: &Db, address: &EmailAddress) -> Result<Disabled> {
    let email_key = address.key().to_owned();
    db.write(async move |conn: &mut Conn<'_>| {
        // Without this lock, disabling two owners at the same time could leave no owner.
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

/// Enables an account again. Returns `None` if no such account exists.
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

/// Sets an account's password and ends its sessions. Returns how many sessions ended, or `None` if no such account
/// exists.
pub async fn set_password(db: &Db, address: &EmailAddress, hash: String) -> Result<Option<usize>> {
    let email_key = address.key().to_owned();
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(Account { id, .. }) = find(conn, &email_key).await? else {
            return Ok(None);
        };
        account::set_password(conn, &id, &hash).await?;
        for purpose in [Purpose::Invitation, Purpose::Password, Purpose::HandOver] {
            link::end(conn, &id, purpose).await?;
        }
        help::settle(conn, &id).await?;
        audit::record(conn, &[Event::of(Kind::PasswordChanged, &id).by(OPERATOR)]).await?;
        ends::end(conn, &Scope::Account(id), EndReason::PasswordChanged, OPERATOR, None).await.map(Some)
    })
    .await
}

async fn find(conn: &mut Conn<'_>, email_key: &str) -> Result<Option<Account>> {
    Ok(account::find_credentials(conn, email_key).await?.map(|found| found.account))
}
