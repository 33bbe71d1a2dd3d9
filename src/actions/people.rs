//! An operator creates accounts and sets passwords. Called by the `user` commands. [`person`](super::person) has what they
//! share with people who manage others.
//!
//! Locks, in this order: the instance's row if the set of owners may change, the account's row, its live sessions by
//! id.
//!
//! Invariant: creating the first owner closes the setup.

use crate::{
    base::{
        db::{Conn, Db},
        error::Result,
    },
    records::{
        account::{self, Account, EmailAddress, Role, hasher::ChosenPassword},
        audit::{self, Event, Kind, OPERATOR},
        help, instance,
        link::{self, Purpose},
        mail::{Detail, Letters, MailKind},
        session::{EndReason, Scope, ends},
    },
};

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

/// Sets an account's password and ends its sessions. Returns how many sessions ended, or `None` if no such account
/// exists.
///
/// # Errors
/// [`Error::Invalid`](crate::base::error::Error::Invalid) for a password that is too short for an account without a second
/// factor.
pub async fn set_password(
    db: &Db,
    letters: &Letters,
    address: &EmailAddress,
    chosen: ChosenPassword,
) -> Result<Option<usize>> {
    let (letters, email_key) = (letters.clone(), address.key().to_owned());
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(account) = find(conn, &email_key).await? else {
            return Ok(None);
        };
        letters.queue(conn, &account, MailKind::PasswordChanged, &Detail::default()).await?;
        let id = account.id;
        account::set_password(conn, &id, &chosen).await?;
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
