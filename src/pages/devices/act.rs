//! What the page and the API do alike.

use crate::{
    actions::end_sessions::{self, Done, Ending},
    base::{
        db::Conn,
        error::{Error, Result},
        text::is_id,
    },
    records::{
        audit::{self, Kind},
        device::known,
        session::{CurrentUser, Reach},
    },
    web::{context::RequestContext, rates::Act},
};

/// Ends something, if this session still lives to do it, and its password was given lately. If it ended itself, its cookie
/// goes too.
///
/// # Errors
/// [`Error::ConfirmationRequired`]; [`Error::NotFound`] when the account has no such thing; or when the database is away.
pub(super) async fn end(context: &RequestContext, user: &CurrentUser, ending: Ending) -> Result<Done> {
    let (acting, ip) = (user.acting(), context.facts.ip.clone());
    let carried_out = context
        .sessions
        .db
        .write(async move |conn: &mut Conn<'_>| {
            let Some(who) = acting.hold_confirmed(conn, Reach::AllSessions).await? else {
                return Ok(None);
            };
            end_sessions::carry_out(conn, &who, &ending, ip.as_deref()).await.map(Some)
        })
        .await?;
    match carried_out {
        None => Err(context.ended_meanwhile().await?),
        Some(None) => Err(Error::NotFound),
        Some(Some(done)) => {
            if done.own {
                context.goodbye(true);
            }
            Ok(done)
        }
    }
}

/// Gives a device a name that was checked, if this session still lives to do it.
///
/// # Errors
/// [`Error::NotFound`] when the account has no such device; or when the database is away.
pub(super) async fn rename(context: &RequestContext, user: &CurrentUser, id: &str, name: &str) -> Result<()> {
    if !is_id(id) {
        return Err(Error::NotFound);
    }
    context.count(Act::Change, user, 1)?;
    let (id, name) = (id.to_owned(), name.to_owned());
    let (acting, event) = (user.acting(), user.event(Kind::DeviceRenamed).ip(context.facts.ip.as_deref()));
    let renamed = context
        .sessions
        .db
        .write(async move |conn: &mut Conn<'_>| {
            let Some(who) = acting.hold(conn, Reach::Itself).await? else {
                return Ok(None);
            };
            let Some(was) = known::rename(conn, &who.account_id, &id, &name).await? else {
                return Ok(Some(false));
            };
            if was != name {
                let event = event.session(&who.session_id).device(Some(&id), Some(&name)).detail(&format!("was {was}"));
                audit::record(conn, &[event]).await?;
            }
            Ok(Some(true))
        })
        .await?;
    match renamed {
        None => Err(context.ended_meanwhile().await?),
        Some(false) => Err(Error::NotFound),
        Some(true) => Ok(()),
    }
}
