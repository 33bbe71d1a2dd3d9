//! The confirmation that a change of an app or of a person needs: a recent one, or the password in the same form. Called by
//! the pages for admins.
//!
//! Invariant: a confirmed session gets a new key, which is sent with the answer, whatever becomes of the change.

use actix_web::http::StatusCode;

use crate::{
    actions::{apps::manager::Manager, confirm::Confirmed},
    base::error::{Error, Result},
    records::session::{CurrentUser, acting::Acting},
    web::{context::RequestContext, layout::Page, rates::Act},
};

/// A person who may change apps and people now.
pub struct Confirmation {
    pub manager: Manager,
    /// The session, under its current key.
    pub acting: Acting,
    /// The new id of the session, if the form's password confirmed it.
    pub session_id: Option<String>,
}

/// Why the form is shown again.
pub struct NotConfirmed {
    pub status: StatusCode,
    pub words: String,
}

/// Confirms with the password of the form, if that is needed.
///
/// # Errors
/// [`Error::TooManyAttempts`], and others that the error page answers with what was typed.
pub async fn confirmed(
    context: &RequestContext,
    user: &CurrentUser,
    password: &str,
) -> Result<Result<Confirmation, NotConfirmed>> {
    context.count(Act::Change, user, 1)?;
    let as_manager = |acting: &Acting| Manager::person(user, acting.clone(), context.facts.ip.as_deref());
    if user.is_confirmed() {
        let acting = user.acting();
        return Ok(Ok(Confirmation { manager: as_manager(&acting), acting, session_id: None }));
    }
    let not = |status, words: &str| Ok(Err(NotConfirmed { status, words: words.to_owned() }));
    if password.is_empty() {
        return not(StatusCode::UNPROCESSABLE_ENTITY, "Enter your password, so that we know it is you.");
    }
    match context.confirm(user, password.to_owned(), None, None).await? {
        Confirmed::Yes { key, .. } => {
            context.hand_over(&key, &user.account.id)?;
            let session_id = Some(key.id().to_owned());
            let acting = Acting::new(user.who(), key);
            Ok(Ok(Confirmation { manager: as_manager(&acting), acting, session_id }))
        }
        Confirmed::WrongPassword => not(StatusCode::UNAUTHORIZED, "That is not your password. Try again."),
        Confirmed::WrongCode(_) => Err(Error::bug("a code was refused that nobody gave")),
        Confirmed::SessionEnded => Err(context.ended_meanwhile().await?),
    }
}

/// The error of a change, with the reason if the session ended meanwhile.
pub async fn explained(context: &RequestContext, error: Error) -> Result<Error> {
    match error {
        Error::SessionEnded(_) => context.ended_meanwhile().await,
        other => Ok(other),
    }
}

/// The page with the session's new id, which its scripts use.
pub fn of_session(mut page: Page, session_id: Option<String>) -> Page {
    if let (Some(person), Some(id)) = (&mut page.person, session_id) {
        person.session_id = id;
    }
    page
}
