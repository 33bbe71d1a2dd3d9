//! An admin or an operator makes a link with which somebody chooses a new password. Called by the page and the API for such
//! links, and by `user password-link`.
//!
//! Locks: those of [`maker`](super::maker).
//!
//! Invariant: the old password keeps working until the link is used. An account has at most one link that works.

use std::time::Duration;

use super::maker::Maker;
use crate::{
    base::{
        db::{Conn, Db},
        error::{Error, Result},
    },
    records::{
        account::invited::{self, Standing},
        audit::{self, Kind},
        link::{self, Made, Purpose},
    },
};

/// How long the link works, unless a command says otherwise.
pub const LIFE: Duration = Duration::from_secs(3600);

/// Makes the link. An earlier one stops working.
///
/// # Errors
/// Those of [`Maker`]. [`Error::NotFound`] if there is no such account. [`Error::Conflict`] if the account is disabled, or has
/// no password yet.
pub async fn make(db: &Db, maker: &Maker, account_id: &str, life: Duration) -> Result<Made> {
    let (maker, id) = (maker.clone(), account_id.to_owned());
    db.write(async move |conn: &mut Conn<'_>| {
        maker.lock(conn, &id).await?;
        let admitted = maker.admit(conn).await?;
        let person = invited::standing(conn, &id).await?.ok_or(Error::NotFound)?;
        admitted.must_outrank(person.account.role)?;
        check(&person)?;
        link::end(conn, &id, Purpose::Password).await?;
        let made = link::make(conn, &id, Purpose::Password, life, &admitted.by).await?;
        audit::record(conn, &admitted.events(Kind::PasswordLinkMade, &id, None)).await?;
        Ok(made)
    })
    .await
}

fn check(person: &Standing) -> Result<()> {
    let conflict = |words: &str| Err(Error::Conflict(words.to_owned()));
    match person {
        Standing { is_disabled: true, .. } => conflict("the account is disabled: enable it first"),
        Standing { is_invited: true, .. } => {
            conflict("the person has not accepted their invitation yet: send the invitation again")
        }
        Standing { .. } => Ok(()),
    }
}
