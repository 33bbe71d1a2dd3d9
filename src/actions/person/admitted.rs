//! Whether a manager may act on an account. Called by the actions on people.
//!
//! Locks, in this order: both accounts by id, the sessions of both in the order of their accounts.
//!
//! Invariant: a person acts only on accounts below their own, or as an owner on themselves, while their session lives,
//! their role allows it, and they have confirmed their password recently.

use crate::{
    actions::apps::manager::{Manager, Person as Acting},
    base::{
        db::Conn,
        error::{EndedBecause, Error, Result},
        text::is_id,
    },
    records::{
        account::{self, Role, person, person::Person},
        audit::{self, Event, Kind, OPERATOR},
        session::{Reach, Who, listing},
    },
};

/// A manager who may act on an account now.
pub struct Admitted {
    /// The account, whose row is locked.
    pub target: Person,
    by: By,
}

enum By {
    Operator,
    Person { role: Role, who: Who, event: Box<Event> },
}

/// Whether a person with this role may act on the account of a person with the other role.
pub fn may_act(role: Role, on: Role, is_self: bool) -> bool {
    role.manages() && (role.is_above(on) || is_self && role == Role::Owner)
}

/// Checks that the manager may act on the account with this id, and locks it.
///
/// # Errors
/// [`Error::NotFound`], [`Error::SessionEnded`], [`Error::ConfirmationRequired`] and [`Error::Forbidden`].
pub(super) async fn admit_over(conn: &mut Conn<'_>, by: &Manager, target: &str) -> Result<Admitted> {
    if !is_id(target) {
        return Err(Error::NotFound);
    }
    match by {
        Manager::Operator => {
            account::lock(conn, target).await?;
            let target = person::find(conn, target).await?.ok_or(Error::NotFound)?;
            Ok(Admitted { target, by: By::Operator })
        }
        Manager::Person(acting) => admit_person(conn, acting, target).await,
    }
}

async fn admit_person(conn: &mut Conn<'_>, by: &Acting, target: &str) -> Result<Admitted> {
    let own = by.acting.account_id();
    lock_both(conn, own, target).await?;
    let ended = || Error::SessionEnded(EndedBecause::Unknown);
    by.acting.hold(conn, Reach::AllSessions).await?.ok_or_else(ended)?;
    let role = account::one(conn, own).await?.ok_or(Error::Forbidden)?.role;
    if !role.manages() {
        return Err(Error::Forbidden);
    }
    let target = person::find(conn, target).await?.ok_or(Error::NotFound)?;
    if !may_act(role, target.account.role, target.account.id == own) {
        return Err(Error::Forbidden);
    }
    let who = by.acting.hold_confirmed(conn, Reach::AllSessions).await?.ok_or_else(ended)?;
    let event = Box::new(by.event.clone().session(&who.session_id));
    Ok(Admitted { target, by: By::Person { role, who, event } })
}

/// Locks two accounts, and the target's sessions if they come before those of the actor.
async fn lock_both(conn: &mut Conn<'_>, own: &str, target: &str) -> Result<()> {
    let (first, second) = if own < target { (own, target) } else { (target, own) };
    account::lock(conn, first).await?;
    account::lock(conn, second).await?;
    if target < own {
        listing::lock_living(conn, target).await?;
    }
    Ok(())
}

impl Admitted {
    /// The actor, as events and ended sessions name it.
    pub(super) fn actor(&self) -> &str {
        match &self.by {
            By::Operator => OPERATOR,
            By::Person { who, .. } => &who.account_id,
        }
    }

    /// Whether the actor may give this role to the account.
    pub(super) fn may_give(&self, role: Role) -> bool {
        match &self.by {
            By::Operator => true,
            By::Person { role: own, .. } => own.may_give(role),
        }
    }

    /// Records what was done, in the trail of the account and in that of the person who did it.
    pub(super) async fn record(&self, conn: &mut Conn<'_>, kind: Kind, detail: Option<&str>) -> Result<()> {
        let event = Event::of(kind, &self.target.account.id).by_manager(self.actor());
        let event = match detail {
            Some(detail) => event.detail(detail),
            None => event,
        };
        audit::record(conn, &[event]).await?;
        self.record_counterpart(conn, kind).await
    }

    /// Records the counterpart alone, for what the account's trail learns otherwise.
    pub(super) async fn record_counterpart(&self, conn: &mut Conn<'_>, kind: Kind) -> Result<()> {
        match &self.by {
            By::Person { who, event, .. } if who.account_id != self.target.account.id => {
                audit::record(conn, &[event.as_ref().clone().about_account(kind, &self.target.account.id)]).await
            }
            _ => Ok(()),
        }
    }

    /// Whether the account is the last owner who may sign in. The caller has locked the instance.
    pub(super) async fn is_last_owner(&self, conn: &mut Conn<'_>) -> Result<bool> {
        is_last_owner(conn, &self.target).await
    }
}

/// Whether the person is the last owner who may sign in. The caller has locked the instance.
pub(super) async fn is_last_owner(conn: &mut Conn<'_>, person: &Person) -> Result<bool> {
    Ok(person.is_enabled_owner() && !account::has_other_owner(conn, &person.account.id).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_acts_beside_or_above_themselves() {
        use Role::{Admin, Member, Owner};
        let may = |role, on| may_act(role, on, false);
        assert!(may(Owner, Admin) && may(Owner, Member) && may(Admin, Member));
        for (role, on) in [(Owner, Owner), (Admin, Owner), (Admin, Admin), (Member, Member), (Member, Owner)] {
            assert!(!may(role, on), "{role} on {on}");
        }
        assert!(may_act(Owner, Owner, true) && !may_act(Admin, Admin, true) && !may_act(Member, Member, true));
        assert!(Owner.may_give(Owner) && !Admin.may_give(Admin) && Admin.may_give(Member));
    }
}
