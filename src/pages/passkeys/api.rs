//! The JSON API of passkeys. The script of the pages calls it too. Called by the routes.
//!
//! Invariant: an answer contains no public key.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    actions::passkeys::{
        manage,
        register::{self, Added},
    },
    base::{
        db::Conn,
        error::{Error, Result},
        recovery_code::RecoveryCode,
        text::is_id,
    },
    records::{
        passkey::{self, listed::PasskeyView},
        session::CurrentUser,
    },
    web::{
        context::RequestContext,
        json::{Anything, Object},
        passkeys,
        rates::Act,
    },
};

/// Where the page goes on to after a passkey was added.
const NEXT: &str = "/account/security?done=passkey";

/// The body of `POST /api/passkeys`.
#[derive(Debug, Deserialize)]
pub struct NewPasskey {
    state: String,
    credential: Value,
    name: Option<String>,
}

/// The body of `PATCH /api/passkeys/{id}`.
#[derive(Debug, Deserialize)]
pub struct Naming {
    name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AddedView {
    passkey: PasskeyView,
    /// Shown once, with the first factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes: Option<Vec<String>>,
    next: &'static str,
}

/// `POST /api/passkeys/options`
///
/// # Errors
/// [`Error::ConfirmationRequired`]; [`Error::Conflict`] if the account has as many as it may, or browsers can have none.
pub async fn ask(_: Anything, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    passkeys::question(&context, async |tools, visitor| register::ask(tools, &user, visitor).await).await
}

/// `POST /api/passkeys`
///
/// # Errors
/// Like [`ask`]; [`Error::Invalid`] for a wrong answer or an unusable name.
pub async fn add(
    sent: web::Json<Object<NewPasskey>>,
    user: CurrentUser,
    context: RequestContext,
) -> Result<HttpResponse> {
    let Object(NewPasskey { state, credential, name }) = sent.into_inner();
    let name = name.filter(|name| !name.trim().is_empty()).map(|name| passkey::check_name(&name)).transpose()?;
    context.count(Act::Change, &user, 1)?;
    let (tools, answer) = (passkeys::tools(&context)?, passkeys::answer(&context, state, credential)?);
    let added = register::add(&tools, (&user, context.facts.ip.as_deref()), answer, name).await?;
    let Some(Added { passkey, codes }) = added else { return Err(context.ended_meanwhile().await?) };
    Ok(HttpResponse::Created().json(AddedView {
        passkey: PasskeyView::from(&passkey),
        recovery_codes: codes.map(|codes| codes.iter().map(RecoveryCode::in_groups).collect()),
        next: NEXT,
    }))
}

/// `PATCH /api/passkeys/{id}`
///
/// # Errors
/// [`Error::Invalid`] for an unusable name; [`Error::NotFound`] when the account has no such passkey.
pub async fn rename(
    id: web::Path<String>,
    web::Json(Object(sent)): web::Json<Object<Naming>>,
    user: CurrentUser,
    context: RequestContext,
) -> Result<HttpResponse> {
    let name = passkey::check_name(&sent.name)?;
    let id = own_id(id)?;
    context.count(Act::Change, &user, 1)?;
    let (db, ip) = (&context.sessions.db, context.facts.ip.as_deref());
    if manage::rename(db, &user, id.clone(), name, ip).await?.is_none() {
        return Err(context.ended_meanwhile().await?);
    }
    let account_id = user.account.id.clone();
    let one = async move |conn: &mut Conn<'_>| passkey::one(conn, &account_id, &id).await;
    let renamed = db.read(one).await?.ok_or(Error::NotFound)?;
    Ok(HttpResponse::Ok().json(PasskeyView::from(&renamed)))
}

/// `DELETE /api/passkeys/{id}`
///
/// # Errors
/// [`Error::ConfirmationRequired`]; [`Error::Conflict`] if the account needs it; [`Error::NotFound`] when the account has no
/// such passkey.
pub async fn remove(id: web::Path<String>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    let id = own_id(id)?;
    match manage::remove(&context.sessions, &user, id, context.facts.ip.as_deref()).await? {
        Some(Ok(())) => Ok(HttpResponse::NoContent().finish()),
        Some(Err(kept)) => Err(kept.into()),
        None => Err(context.ended_meanwhile().await?),
    }
}

/// `POST /api/passkeys/offer`. The dashboard's script calls it on a device that can make a passkey.
pub async fn offer(_: Anything, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    context.count(Act::Change, &user, 1)?;
    let is_offered = context.site.passkeys.is_ok() && manage::offer(&context.sessions.db, &user).await?;
    Ok(HttpResponse::Ok().json(json!({ "offer": is_offered })))
}

fn own_id(id: web::Path<String>) -> Result<String> {
    let id = id.into_inner();
    if is_id(&id) { Ok(id) } else { Err(Error::NotFound) }
}
