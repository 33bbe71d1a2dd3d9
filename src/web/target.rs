//! The person whom an address names, for a reader who may act on them. Called by the pages and the API for
//! people and their links.
//!
//! Invariant: an unknown id is not found, and a person beside or above the reader is forbidden.

use crate::{
    actions::person::admitted::may_act,
    base::{
        db::Conn,
        error::{Error, Result},
        text::is_id,
    },
    records::{
        account::person::{self, Person},
        session::{CurrentUser, Sessions},
    },
};

/// Finds the person.
///
/// # Errors
/// [`Error::NotFound`] and [`Error::Forbidden`].
pub async fn find(sessions: &Sessions, user: &CurrentUser, id: &str) -> Result<Person> {
    if !is_id(id) {
        return Err(Error::NotFound);
    }
    let asked = id.to_owned();
    let read = async move |conn: &mut Conn<'_>| person::find(conn, &asked).await;
    let person = sessions.db.read(read).await?.ok_or(Error::NotFound)?;
    match may_act_on(user, &person) {
        true => Ok(person),
        false => Err(Error::Forbidden),
    }
}

/// Whether the reader may act on this person.
pub fn may_act_on(user: &CurrentUser, person: &Person) -> bool {
    may_act(user.account.role, person, person.account.id == user.account.id)
}
