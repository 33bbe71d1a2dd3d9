//! Whether a manager may act on an account. Called by the actions on people and on links.
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

/// A manager who may act on people now.
pub(in crate::actions) enum By {
    Operator,
    Person { role: Role, who: Who, event: Box<Event> },
}

/// Whether a person with this role may act on this person. Owners may also act on somebody who is invited as an owner
/// and has not accepted yet.
pub fn may_act(role: Role, on: &Person, is_self: bool) -> bool {
    let on_role = on.account.role;
    let below = role.is_above(on_role) || is_self && role == Role::Owner;
    role.manages() && (below || on.is_invited() && role.may_give(on_role))
}

/// Checks that the manager may act on the account with this id, and locks it.
///
/// # Errors
/// [`Error::NotFound`], [`Error::SessionEnded`], [`Error::ConfirmationRequired`] and [`Error::Forbidden`].
pub(in crate::actions) async fn admit_over(conn: &mut Conn<'_>, by: &Manager, target: &str) -> Result<Admitted> {
    if !is_id(target) {
        return Err(Error::NotFound);
    }
    let acting = match by {
        Manager::Operator => {
            account::lock(conn, target).await?;
            let target = person::find(conn, target).await?.ok_or(Error::NotFound)?;
            return Ok(Admitted { target, by: By::Operator });
        }
        Manager::Person(acting) => acting,
    };
    let role = hold(conn, acting, Some(target)).await?;
    let target = person::find(conn, target).await?.ok_or(Error::NotFound)?;
    if !may_act(role, &target, target.account.id == acting.acting.account_id()) {
        return Err(Error::Forbidden);
    }
    let by = confirmed(conn, acting, role).await?;
    Ok(Admitted { target, by })
}

/// Checks that the manager may act on people at all, and locks the account with this id too, if there is one. The caller
/// checks the ranks.
///
/// # Errors
/// [`Error::SessionEnded`], [`Error::ConfirmationRequired`] and [`Error::Forbidden`].
pub(in crate::actions) async fn admit(conn: &mut Conn<'_>, by: &Manager, target: Option<&str>) -> Result<By> {
    match by {
        Manager::Operator => {
            if let Some(target) = target {
                account::lock(conn, target).await?;
            }
            Ok(By::Operator)
        }
        Manager::Person(acting) => {
            let role = hold(conn, acting, target).await?;
            confirmed(conn, acting, role).await
        }
    }
}

/// Locks both accounts and their sessions. Returns the role of the person who acts.
async fn hold(conn: &mut Conn<'_>, by: &Acting, target: Option<&str>) -> Result<Role> {
    let own = by.acting.account_id();
    lock_both(conn, own, target.unwrap_or(own)).await?;
    by.acting.hold(conn, Reach::AllSessions).await?.ok_or_else(ended)?;
    let role = account::one(conn, own).await?.ok_or(Error::Forbidden)?.role;
    if role.manages() { Ok(role) } else { Err(Error::Forbidden) }
}

async fn confirmed(conn: &mut Conn<'_>, by: &Acting, role: Role) -> Result<By> {
    let who = by.acting.hold_confirmed(conn, Reach::AllSessions).await?.ok_or_else(ended)?;
    let event = Box::new(by.event.clone().session(&who.session_id));
    Ok(By::Person { role, who, event })
}

fn ended() -> Error {
    Error::SessionEnded(EndedBecause::Unknown)
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

impl By {
    /// The actor, as events, links and ended sessions name it.
    pub(in crate::actions) fn actor(&self) -> &str {
        match self {
            Self::Operator => OPERATOR,
            Self::Person { who, .. } => &who.account_id,
        }
    }

    /// Whether the actor may give this role to somebody.
    pub(in crate::actions) fn may_give(&self, role: Role) -> bool {
        match self {
            Self::Operator => true,
            Self::Person { role: own, .. } => own.may_give(role),
        }
    }

    /// Records what was done to an account, in its trail and in that of the person who did it.
    pub(in crate::actions) async fn record(
        &self,
        conn: &mut Conn<'_>,
        account_id: &str,
        (kind, detail): (Kind, Option<&str>),
    ) -> Result<()> {
        let event = Event::of(kind, account_id).by_manager(self.actor());
        let event = match detail {
            Some(detail) => event.detail(detail),
            None => event,
        };
        audit::record(conn, &[event]).await?;
        self.record_counterpart(conn, account_id, kind).await
    }

    /// Records the counterpart alone, for what the account's trail learns otherwise.
    async fn record_counterpart(&self, conn: &mut Conn<'_>, account_id: &str, kind: Kind) -> Result<()> {
        match self {
            Self::Person { who, event, .. } if who.account_id != account_id => {
                audit::record(conn, &[event.as_ref().clone().about_account(kind, account_id)]).await
            }
            _ => Ok(()),
        }
    }
}

impl Admitted {
    /// The actor, as events and ended sessions name it.
    pub(in crate::actions) fn actor(&self) -> &str {
        self.by.actor()
    }

    /// Whether an operator acts, with a command.
    pub(super) fn is_operator(&self) -> bool {
        matches!(self.by, By::Operator)
    }

    /// Whether the actor may give this role to the account.
    pub(super) fn may_give(&self, role: Role) -> bool {
        self.by.may_give(role)
    }

    /// Records what was done, in the trail of the account and in that of the person who did it.
    pub(in crate::actions) async fn record(&self, conn: &mut Conn<'_>, kind: Kind, detail: Option<&str>) -> Result<()> {
        self.by.record(conn, &self.target.account.id, (kind, detail)).await
    }

    /// Records the counterpart alone, for what the account's trail learns otherwise.
    pub(super) async fn record_counterpart(&self, conn: &mut Conn<'_>, kind: Kind) -> Result<()> {
        self.by.record_counterpart(conn, &self.target.account.id, kind).await
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
    use crate::base::db::Instant;

    fn person(role: Role, is_invited: bool) -> Person {
        let account = account::Account {
            id: "acc_1".into(),
            email: "kim@example.com".into(),
            name: "Kim".into(),
            role,
            time_zone: None,
            groups: String::new(),
            second_factors: 0,
            factor_reset_at: None,
        };
        let at = Instant::from_micros(0);
        Person {
            account,
            created_at: at,
            last_login_at: None,
            disabled_at: None,
            invited_at: is_invited.then_some(at),
            deletion_asked_at: None,
        }
    }

    #[test]
    fn nobody_acts_beside_or_above_themselves() {
        use Role::{Admin, Member, Owner};
        let may = |role, on| may_act(role, &person(on, false), false);
        assert!(may(Owner, Admin) && may(Owner, Member) && may(Admin, Member));
        for (role, on) in [(Owner, Owner), (Admin, Owner), (Admin, Admin), (Member, Member), (Member, Owner)] {
            assert!(!may(role, on), "{role} on {on}");
        }
        let may_on_self = |role| may_act(role, &person(role, false), true);
        assert!(may_on_self(Owner) && !may_on_self(Admin) && !may_on_self(Member));
        let may_on_invited = |role, on| may_act(role, &person(on, true), false);
        assert!(may_on_invited(Owner, Owner) && may_on_invited(Admin, Member));
        assert!(!may_on_invited(Admin, Admin) && !may_on_invited(Admin, Owner) && !may_on_invited(Member, Member));
        assert!(Owner.may_give(Owner) && !Admin.may_give(Admin) && Admin.may_give(Member));
    }
}
