//! Who makes a link for somebody: an operator with a command, or an admin on a page or with the API. Called by the other
//! actions on links.
//!
//! Locks, in this order: the accounts of the person concerned and of the admin, by id; the admin's session.
//!
//! Invariant: an admin acts only while their session lives and after a recent confirmation, and only on people below
//! themselves. All of this is checked in the transaction that makes the change.

use crate::{
    base::{
        db::Conn,
        error::{EndedBecause, Error, Result},
    },
    records::{
        account::{self, Role},
        audit::{Event, Kind, OPERATOR},
        session::{CurrentUser, Reach, acting::Acting},
    },
};

/// Who makes a link.
#[derive(Debug, Clone)]
pub enum Maker {
    Operator,
    Admin(Box<Admin>),
}

/// An admin who acts in a session.
#[derive(Debug, Clone)]
pub struct Admin {
    acting: Acting,
    /// An event in the admin's own trail, of any kind.
    event: Event,
}

/// Somebody who may make links now.
pub(super) struct Admitted {
    /// The account's id, or [`OPERATOR`].
    pub(super) by: String,
    /// `None` for an operator, who may do everything.
    role: Option<Role>,
    event: Option<Event>,
}

impl Maker {
    /// The signed-in admin. `acting` has the session's current key, which a confirmation in this request may have replaced.
    pub fn admin(user: &CurrentUser, acting: Acting, ip: Option<&str>) -> Self {
        Self::Admin(Box::new(Admin { acting, event: user.event(Kind::AccountInvited).ip(ip) }))
    }

    /// Locks the account of the person concerned, and before it or after it that of the admin: accounts are locked by id.
    pub(super) async fn lock(&self, conn: &mut Conn<'_>, person: &str) -> Result<()> {
        let own = match self {
            Self::Operator => None,
            Self::Admin(admin) => Some(admin.acting.account_id()).filter(|own| *own < person),
        };
        if let Some(own) = own {
            account::lock(conn, own).await?;
        }
        account::lock(conn, person).await
    }

    /// Checks that they may act on people.
    ///
    /// # Errors
    /// [`Error::SessionEnded`], [`Error::ConfirmationRequired`] and [`Error::Forbidden`].
    pub(super) async fn admit(&self, conn: &mut Conn<'_>) -> Result<Admitted> {
        let Self::Admin(admin) = self else {
            return Ok(Admitted { by: OPERATOR.to_owned(), role: None, event: None });
        };
        let held = admin.acting.hold_confirmed(conn, Reach::Itself).await?;
        let who = held.ok_or(Error::SessionEnded(EndedBecause::Unknown))?;
        let account = account::one(conn, &who.account_id).await?.ok_or(Error::Forbidden)?;
        if !account.role.manages() {
            return Err(Error::Forbidden);
        }
        let event = Some(admin.event.clone().session(&who.session_id));
        Ok(Admitted { by: account.id, role: Some(account.role), event })
    }
}

impl Admitted {
    /// Checks that they may act on somebody with this role.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(super) fn must_outrank(&self, role: Role) -> Result<()> {
        match self.role {
            Some(own) if !own.is_above(role) => Err(Error::Forbidden),
            _ => Ok(()),
        }
    }

    /// Checks that they may give somebody this role. Owners may make other owners.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(super) fn must_be_able_to_give(&self, role: Role) -> Result<()> {
        match self.role {
            Some(own) if !own.may_give(role) => Err(Error::Forbidden),
            _ => Ok(()),
        }
    }

    /// The events of a change, in the person's trail and in the admin's own. The latter names the person by their id only.
    pub(super) fn events(self, kind: Kind, person: &str, detail: Option<&str>) -> Vec<Event> {
        let of_person = Event::of(kind, person).by(&self.by);
        let of_person = match detail {
            Some(detail) => of_person.detail(detail),
            None => of_person,
        };
        let of_admin = self.event.map(|event| event.about(kind).detail(&format!("of {person}")));
        std::iter::once(of_person).chain(of_admin).collect()
    }
}
