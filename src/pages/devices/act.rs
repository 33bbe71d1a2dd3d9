//! What the page and the API do alike: an action, and what its result means for the answer.

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

/// Ends sessions. If the session that asks is among them, its cookie goes too.
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

/// Gives a device a name that was checked.
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
