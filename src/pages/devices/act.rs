//! The actions that the devices page and the API share, with their effect on the response. Called by the page and the
//! API.
//!
//! Invariant: if the request's own session ended, its cookie is removed.

use crate::{
    actions::{
        devices,
        end_sessions::{self, EndedSessions, Ending},
    },
    base::{
        error::{Error, Result},
        text::is_id,
    },
    records::session::CurrentUser,
    web::{context::RequestContext, rates::Act},
};

/// Ends sessions. Removes the request's cookie if its own session is among them.
///
/// # Errors
/// [`Error::ConfirmationRequired`]; [`Error::NotFound`] when the account has no such session or device.
pub(super) async fn end(context: &RequestContext, user: &CurrentUser, ending: Ending) -> Result<EndedSessions> {
    let Some(ended) = end_sessions::end(&context.sessions.db, user, ending, context.facts.ip.clone()).await? else {
        return Err(context.ended_meanwhile().await?);
    };
    if ended.own {
        context.goodbye(true);
    }
    Ok(ended)
}

/// Renames a device. The caller has validated the name.
///
/// # Errors
/// [`Error::NotFound`] when the account has no such device.
pub(super) async fn rename(context: &RequestContext, user: &CurrentUser, id: &str, name: &str) -> Result<()> {
    if !is_id(id) {
        return Err(Error::NotFound);
    }
    context.count(Act::Change, user, 1)?;
    let ip = context.facts.ip.as_deref();
    match devices::rename(&context.sessions.db, user, id.to_owned(), name.to_owned(), ip).await? {
        Some(()) => Ok(()),
        None => Err(context.ended_meanwhile().await?),
    }
}
