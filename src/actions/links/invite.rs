//! An admin or an operator invites somebody, or cancels an invitation. Called by the page and the API for invitations, and by
//! `user invite`.
//!
//! Locks: those of [`maker`](super::maker), with the account that was invited before.
//!
//! Invariant: an invited account has at most one link that works.

use std::time::Duration;

use super::maker::Maker;
use crate::{
    base::{
        db::{Conn, Db},
        error::{Error, Result},
        secret::Secret,
    },
    records::{
        account::{
            EmailAddress, Role,
            invited::{self, Invitee, Standing},
        },
        audit::{self, Kind},
        link::{self, Made, Purpose},
        mail::{Detail, Letters, MailKind},
    },
};

/// How long an invitation works, unless a command says otherwise.
pub const LIFE: Duration = Duration::from_secs(24 * 3600);

/// An invitation. What is `None` stays as it is for somebody who is invited again.
#[derive(Debug, Clone)]
pub struct Invitation {
    pub email: EmailAddress,
    /// Checked by [`display_name`](crate::records::account::display_name). If empty, the local part of the address is used.
    pub name: Option<String>,
    pub role: Option<Role>,
    /// Checked by the caller.
    pub groups: Option<String>,
    pub life: Duration,
}

/// The outcome of an invitation.
#[derive(Debug)]
pub enum Invited {
    Yes {
        account_id: String,
        made: Made,
    },
    /// There is already an account with this address.
    Exists,
}

/// Creates an account without a password, and a link with which the person chooses one. Somebody who was invited before
/// gets a new link, and the old one stops working.
///
/// # Errors
/// Those of [`Maker`]: [`Error::Forbidden`] for a role that they cannot give.
pub async fn invite(db: &Db, letters: &Letters, maker: &Maker, invitation: Invitation) -> Result<Invited> {
    let (maker, letters) = (maker.clone(), letters.clone());
    db.write(async move |conn: &mut Conn<'_>| {
        let known = match invited::id_of(conn, &invitation.email).await? {
            Some(id) => {
                maker.lock(conn, &id).await?;
                invited::standing(conn, &id).await?
            }
            None => None,
        };
        let admitted = maker.admit(conn).await?;
        if known.as_ref().is_some_and(|known| !known.is_invited) {
            return Ok(Invited::Exists);
        }
        let invitee = invitation.about(known.as_ref());
        admitted.must_be_able_to_give(invitee.role)?;
        let account = match known {
            Some(Standing { is_disabled: true, .. }) => {
                return Err(Error::Conflict("the account is disabled: enable it first".to_owned()));
            }
            Some(Standing { account, .. }) => {
                admitted.must_be_able_to_give(account.role)?;
                invited::change(conn, &account.id, &invitee).await?;
                link::end(conn, &account.id, Purpose::Invitation).await?;
                account
            }
            None => match invited::create(conn, &invitee).await? {
                Some(account) => account,
                None => return Ok(Invited::Exists),
            },
        };
        let mail = (MailKind::Invitation, Detail::default());
        let new = link::New {
            purpose: Purpose::Invitation,
            about: None,
            life: invitation.life,
            by: &admitted.by,
            token: Secret::random()?,
        };
        let made = letters.queue_with_link(conn, &account, mail, new).await?;
        let account_id = account.id;
        audit::record(conn, &admitted.events(Kind::AccountInvited, &account_id, Some(invitee.role.as_str()))).await?;
        Ok(Invited::Yes { account_id, made })
    })
    .await
}

impl Invitation {
    fn about(&self, known: Option<&Standing>) -> Invitee {
        let known = known.map(|known| &known.account);
        let name = match (&self.name, known) {
            (Some(name), _) if !name.is_empty() => name.clone(),
            (None, Some(known)) => known.name.clone(),
            _ => self.email.local_part().to_owned(),
        };
        Invitee {
            email: self.email.clone(),
            name,
            role: self.role.or(known.map(|known| known.role)).unwrap_or(Role::Member),
            groups: self.groups.clone().or(known.map(|known| known.groups.clone())).unwrap_or_default(),
        }
    }
}

/// Makes the link of an invitation stop working. The account stays invited: it can be invited again, or deleted. `false` if
/// no link worked any more.
///
/// # Errors
/// Those of [`Maker`]; [`Error::NotFound`] if nobody with this id is invited.
pub async fn cancel(db: &Db, maker: &Maker, account_id: &str) -> Result<bool> {
    let (maker, id) = (maker.clone(), account_id.to_owned());
    db.write(async move |conn: &mut Conn<'_>| {
        maker.lock(conn, &id).await?;
        let admitted = maker.admit(conn).await?;
        let invited = invited::standing(conn, &id).await?.filter(|known| known.is_invited);
        let invited = invited.ok_or(Error::NotFound)?;
        admitted.must_be_able_to_give(invited.account.role)?;
        let ended = link::end(conn, &id, Purpose::Invitation).await?;
        audit::record(conn, &admitted.events(Kind::AccountInvited, &id, Some("cancelled"))).await?;
        Ok(ended > 0)
    })
    .await
}
