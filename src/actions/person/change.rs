//! Changes the name, address, role, groups or state of an account. Called by the page, the API and the commands for
//! people.
//!
//! Locks, in this order: the instance's row, both accounts by id, their sessions.
//!
//! Invariant: all changes of a call are made or none, and at least one enabled owner remains. An address that must be
//! verified first is asked for with the other changes.

use super::{
    address::{self, Given, Needs},
    admitted::{Admitted, admit_over},
};
use crate::{
    actions::apps::manager::Manager,
    base::{
        db::{Conn, Db},
        error::{Error, Result},
    },
    records::{
        account::{self, EmailAddress, Role, person, person::Person},
        audit::Kind,
        instance, link,
        mail::Letters,
        session::{EndReason, Reach, Scope, ends},
    },
};

/// What to change. `None` leaves a value as it is. The caller has checked the name and the groups.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    pub name: Option<String>,
    pub email: Option<EmailAddress>,
    pub role: Option<Role>,
    /// As they are stored.
    pub groups: Option<String>,
    pub disabled: Option<bool>,
}

/// Why nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Another account has the address.
    EmailTaken,
    /// The account is the last owner who may sign in.
    LastOwner,
}

impl Refused {
    /// The reason, for the API and for forms.
    pub fn words(self) -> &'static str {
        match self {
            Self::EmailTaken => "There is already an account with this address.",
            Self::LastOwner => "This is the last owner who can sign in. Make somebody else an owner first.",
        }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Conflict(refused.words().to_owned())
    }
}

/// An account after a change.
#[derive(Debug, Clone)]
pub struct Changed {
    pub person: Person,
    /// How many sessions ended, if the account was disabled.
    pub ended: usize,
    /// Whether the new address counts only once it is verified.
    pub is_email_asked: bool,
}

/// Changes the account with this id.
///
/// # Errors
/// [`Error::NotFound`], [`Error::SessionEnded`], [`Error::ConfirmationRequired`] and [`Error::Forbidden`];
/// [`Error::TooManyAttempts`] after too many new addresses within an hour.
pub async fn change(
    db: &Db,
    letters: &Letters,
    (by, id): (&Manager, &str),
    changes: Changes,
) -> Result<Result<Changed, Refused>> {
    let (by, letters, id) = (by.clone(), letters.clone(), id.to_owned());
    db.write(async move |conn: &mut Conn<'_>| {
        // Without this lock, two changes at the same time could leave no owner.
        instance::lock(conn).await?;
        let admitted = admit_over(conn, &by, &id).await?;
        if let (Manager::Person(person), Some(_)) = (&by, &changes.email)
            && person.acting.account_id() == id
        {
            // An owner's own address needs what it needs on the account page.
            person.acting.hold_for_proofs(conn, Reach::AllSessions).await?;
        }
        if changes.role.is_some_and(|role| role != admitted.target.account.role && !admitted.may_give(role)) {
            return Err(Error::Forbidden);
        }
        let steps_down = changes.role.is_some_and(|role| role != Role::Owner) || changes.disabled == Some(true);
        if steps_down && admitted.is_last_owner(conn).await? {
            return Ok(Err(Refused::LastOwner));
        }
        let given = match &changes.email {
            Some(email) => set_email(conn, &letters, (&admitted, email)).await?,
            None => Given::Same,
        };
        if given == Given::Taken {
            return Ok(Err(Refused::EmailTaken));
        }
        set_name_role_and_groups(conn, &admitted, &changes).await?;
        let ended = match changes.disabled {
            Some(disabled) => set_disabled(conn, &admitted, disabled).await?,
            None => 0,
        };
        let person = person::find(conn, &id).await?.ok_or(Error::NotFound)?;
        Ok(Ok(Changed { person, ended, is_email_asked: given == Given::OnceVerified }))
    })
    .await
}

/// An operator's change needs no verification: whoever has lost their mailbox needs help at once.
async fn set_email(
    conn: &mut Conn<'_>,
    letters: &Letters,
    (admitted, email): (&Admitted, &EmailAddress),
) -> Result<Given> {
    let needs = if admitted.is_operator() { Needs::Nothing } else { Needs::Verification };
    let given = address::give(conn, letters, (&admitted.target, admitted.actor()), (email, needs)).await?;
    match given {
        Given::Now => {
            let was = format!("was {}", admitted.target.account.email);
            admitted.record(conn, Kind::AccountEmailChanged, Some(&was)).await?;
        }
        Given::OnceVerified => {
            let to = format!("to {}", email.as_str());
            admitted.record(conn, Kind::EmailChangeAsked, Some(&to)).await?;
        }
        Given::Same | Given::Taken => {}
    }
    Ok(given)
}

async fn set_name_role_and_groups(conn: &mut Conn<'_>, admitted: &Admitted, changes: &Changes) -> Result<()> {
    let was = &admitted.target.account;
    if let Some(name) = changes.name.as_ref().filter(|name| **name != was.name) {
        account::rename(conn, &was.id, name).await?;
        admitted.record(conn, Kind::AccountRenamed, Some(&format!("was {}", was.name))).await?;
    }
    if let Some(role) = changes.role.filter(|role| *role != was.role) {
        person::set_role(conn, &was.id, role).await?;
        // Whoever made a link for a member must not become an owner with it.
        link::end_entries(conn, &was.id).await?;
        admitted.record(conn, Kind::AccountRoleChanged, Some(&format!("{} to {role}", was.role))).await?;
    }
    if let Some(groups) = changes.groups.as_ref().filter(|groups| **groups != was.groups) {
        person::set_groups(conn, &was.id, groups).await?;
        admitted.record(conn, Kind::AccountGroupsChanged, Some(&groups.replace(',', ", "))).await?;
    }
    Ok(())
}

/// Disables or enables the account. Returns how many sessions ended.
async fn set_disabled(conn: &mut Conn<'_>, admitted: &Admitted, disabled: bool) -> Result<usize> {
    let id = admitted.target.account.id.as_str();
    if !disabled {
        if account::enable(conn, id).await? {
            admitted.record(conn, Kind::AccountEnabled, None).await?;
        }
        return Ok(0);
    }
    link::end_entries(conn, id).await?;
    if account::disable(conn, id).await? {
        admitted.record(conn, Kind::AccountDisabled, None).await?;
    }
    ends::end(conn, &Scope::Account(id.to_owned()), EndReason::AccountDisabled, admitted.actor(), None).await
}
