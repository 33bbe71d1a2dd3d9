//! Who manages apps and people: an operator with a command, or a person on the pages for admins. Called by
//! [`manage`](super::manage) and by the actions on people.
//!
//! Locks, in this order: the person's account, the session.
//!
//! Invariant: a person manages apps only while their session lives, their role allows it, and they have confirmed their
//! password recently. All three are checked in the transaction that makes the change.

use crate::{
    base::{
        db::Conn,
        error::{EndedBecause, Error, Result},
    },
    records::{
        account,
        audit::{Event, Kind, OPERATOR},
        session::{CurrentUser, Reach, acting::Acting},
    },
};

/// Who manages apps and people.
#[derive(Debug, Clone)]
pub enum Manager {
    Operator,
    Person(Box<Person>),
}

/// A person who manages apps or people on a page.
#[derive(Debug, Clone)]
pub struct Person {
    pub(in crate::actions) acting: Acting,
    /// An event in the person's own trail, of any kind.
    pub(in crate::actions) event: Event,
}

impl Manager {
    /// The signed-in person. `acting` has the session's current key, which a confirmation in this request replaced.
    pub fn person(user: &CurrentUser, acting: Acting, ip: Option<&str>) -> Self {
        Self::Person(Box::new(Person { acting, event: user.event(Kind::AppChanged).ip(ip) }))
    }

    /// Checks that they may manage apps, and returns the event to record.
    ///
    /// # Errors
    /// [`Error::SessionEnded`], [`Error::ConfirmationRequired`] and [`Error::Forbidden`].
    pub(super) async fn admit(&self, conn: &mut Conn<'_>) -> Result<Event> {
        let Self::Person(person) = self else {
            return Ok(Event::of_nobody(Kind::AppChanged).by(OPERATOR));
        };
        let held = person.acting.hold_confirmed(conn, Reach::Itself).await?;
        let who = held.ok_or(Error::SessionEnded(EndedBecause::Unknown))?;
        let account = account::one(conn, &who.account_id).await?.ok_or(Error::Forbidden)?;
        match account.role.manages() {
            true => Ok(person.event.clone().session(&who.session_id)),
            false => Err(Error::Forbidden),
        }
    }
}
