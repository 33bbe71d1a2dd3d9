//! An admin or an operator invites somebody, or cancels an invitation. Called by the page and the API for invitations, and by
//! `user invite`.
//!
//! Locks: those of [`admitted`](crate::actions::person::admitted), with the account that was invited before.
//!
//! Invariant: an invited account has at most one link that works.

use std::time::Duration;

use crate::{
    actions::{
        apps::manager::Manager,
        person::admitted::{By, admit, admit_over},
    },
    base::{
        db::{Conn, Db},
        error::{Error, Result},
        secret::Secret,
    },
    records::{
        account::{
            Account, EmailAddress, Role,
            invited::{self, Invitee},
            person::{self, Person},
        },
        audit::Kind,
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
/// [`Error::Forbidden`] for somebody who may not invite, and for a role that they cannot give. [`Error::SessionEnded`];
/// [`Error::ConfirmationRequired`]. [`Error::Conflict`] if the account is disabled.
pub async fn invite(db: &Db, letters: &Letters, by: &Manager, invitation: Invitation) -> Result<Invited> {
    let (by, letters) = (by.clone(), letters.clone());
    db.write(async move |conn: &mut Conn<'_>| {
        let id = person::id_of(conn, invitation.email.key()).await?;
        let by = admit(conn, &by, id.as_deref()).await?;
        let known = match &id {
            Some(id) => person::find(conn, id).await?,
            None => None,
        };
        if known.as_ref().is_some_and(|known| !known.is_invited()) {
            return Ok(Invited::Exists);
        }
        let invitee = invitation.about(known.as_ref());
        if !by.may_give(invitee.role) || known.as_ref().is_some_and(|known| !by.may_give(known.account.role)) {
            return Err(Error::Forbidden);
        }
        if known.as_ref().is_some_and(Person::is_disabled) {
            return Err(Error::Conflict("the account is disabled: enable it first".to_owned()));
        }
        let Some(account) = create_or_change(conn, known, &invitee).await? else { return Ok(Invited::Exists) };
        let made = make(conn, &letters, (&by, &account), invitation.life).await?;
        by.record(conn, &account.id, (Kind::AccountInvited, Some(invitee.role.as_str()))).await?;
        Ok(Invited::Yes { account_id: account.id, made })
    })
    .await
}

/// `None` if the address was taken meanwhile.
async fn create_or_change(conn: &mut Conn<'_>, known: Option<Person>, invitee: &Invitee) -> Result<Option<Account>> {
    let Some(Person { account, .. }) = known else { return invited::create(conn, invitee).await };
    invited::change(conn, &account.id, invitee).await?;
    Ok(Some(account))
}

/// Makes the link, and queues its mail. An earlier link stops working.
async fn make(conn: &mut Conn<'_>, letters: &Letters, (by, account): (&By, &Account), life: Duration) -> Result<Made> {
    link::end(conn, &account.id, Purpose::Invitation).await?;
    let new = link::New { purpose: Purpose::Invitation, about: None, life, by: by.actor(), token: Secret::random()? };
    letters.queue_with_link(conn, account, (MailKind::Invitation, Detail::default()), new).await
}

impl Invitation {
    fn about(&self, known: Option<&Person>) -> Invitee {
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
/// [`Error::Forbidden`] for somebody who may not act on the person. [`Error::SessionEnded`]; [`Error::ConfirmationRequired`].
/// [`Error::NotFound`] if nobody with this id is invited.
pub async fn cancel(db: &Db, by: &Manager, account_id: &str) -> Result<bool> {
    let (by, id) = (by.clone(), account_id.to_owned());
    db.write(async move |conn: &mut Conn<'_>| {
        let admitted = admit_over(conn, &by, &id).await?;
        if !admitted.target.is_invited() {
            return Err(Error::NotFound);
        }
        let ended = link::end(conn, &id, Purpose::Invitation).await?;
        admitted.record(conn, Kind::InvitationCancelled, None).await?;
        Ok(ended > 0)
    })
    .await
}
