//! An admin or an operator makes a link with which somebody chooses a new password. Called by the page and the API for such
//! links, and by `user password-link`.
//!
//! Locks: those of [`admitted`](crate::actions::person::admitted).
//!
//! Invariant: the old password keeps working until the link is used. An account has at most one link that works.

use std::time::Duration;

use crate::{
    actions::{apps::manager::Manager, person::admitted::admit_over},
    base::{
        db::{Conn, Db},
        error::{Error, Result},
        secret::Secret,
    },
    records::{
        account::person::Person,
        audit::Kind,
        link::{self, Made, Purpose},
        mail::{Detail, Letters, MailKind},
    },
};

/// How long the link works, unless a command says otherwise.
pub const LIFE: Duration = Duration::from_secs(3600);

/// Makes the link, and mails it to the person where this instance sends mail. An earlier one stops working.
///
/// # Errors
/// [`Error::Forbidden`] for somebody who may not act on the person. [`Error::SessionEnded`]; [`Error::ConfirmationRequired`].
/// [`Error::NotFound`]. [`Error::Conflict`] if the account is disabled, or has no password yet.
pub async fn make(db: &Db, letters: &Letters, by: &Manager, (account_id, life): (&str, Duration)) -> Result<Made> {
    let (by, letters, id) = (by.clone(), letters.clone(), account_id.to_owned());
    db.write(async move |conn: &mut Conn<'_>| {
        let admitted = admit_over(conn, &by, &id).await?;
        check(&admitted.target)?;
        link::end(conn, &id, Purpose::Password).await?;
        let token = Secret::random()?;
        let new = link::New { purpose: Purpose::Password, about: None, life, by: admitted.actor(), token };
        let mail = (MailKind::PasswordLink, Detail::default());
        let made = letters.queue_with_link(conn, &admitted.target.account, mail, new).await?;
        admitted.record(conn, Kind::PasswordLinkMade, None).await?;
        Ok(made)
    })
    .await
}

fn check(person: &Person) -> Result<()> {
    let conflict = |words: &str| Err(Error::Conflict(words.to_owned()));
    match () {
        () if person.is_disabled() => conflict("the account is disabled: enable it first"),
        () if person.is_invited() => {
            conflict("the person has not accepted their invitation yet: send the invitation again")
        }
        () => Ok(()),
    }
}
