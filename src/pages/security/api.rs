//! The JSON API of the second factor, `/api/second-factor`. Called by the routes.
//!
//! Invariant: like on the pages, a change needs a recent confirmation, with a second factor if the account has one.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::shown::unstored;
use crate::{
    actions::second_factor::manage::{self, Added, Removed, Renewed},
    base::{
        base32,
        db::Conn,
        error::{Error, Result},
        recovery_code::RecoveryCode,
        totp,
    },
    records::{passkey, second_factor, session::CurrentUser},
    web::{
        context::RequestContext,
        json::{Anything, Object},
        rates::Act,
    },
};

/// The body of `PUT /api/second-factor/app`.
#[derive(Debug, Deserialize)]
pub struct FirstCode {
    code: String,
}

/// `GET /api/second-factor`
pub async fn show(user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    let id = user.account.id.clone();
    let read = async move |conn: &mut Conn<'_>| {
        Ok((second_factor::methods(conn, &id).await?, passkey::listed::views(conn, &id).await?))
    };
    let (methods, passkeys) = context.sessions.db.read(read).await?;
    Ok(HttpResponse::Ok().json(json!({
        "passkeys": passkeys, "app": methods.has_app, "recoveryLeft": methods.recovery_left,
    })))
}

/// `POST /api/second-factor/app`
///
/// # Errors
/// [`Error::ConfirmationRequired`], and [`Error::Conflict`] if the account has an app already.
pub async fn new_app(_: Anything, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    context.count(Act::Change, &user, 1)?;
    if !user.may_change_proofs() {
        return Err(Error::ConfirmationRequired);
    }
    let new = manage::new_app(&context.sessions, &user).await?.ok_or_else(exists)?;
    let uri = totp::key_uri(&new.secret, &context.site.brand.name, &user.account.email);
    Ok(unstored(HttpResponse::Ok().json(json!({ "secret": base32::encode(&new.secret), "uri": uri }))))
}

/// `PUT /api/second-factor/app`
///
/// # Errors
/// [`Error::ConfirmationRequired`]; [`Error::Conflict`] if the account has an app already; [`Error::Invalid`] for a wrong
/// code; [`Error::TooManyAttempts`].
pub async fn add_app(
    sent: web::Json<Object<FirstCode>>,
    user: CurrentUser,
    context: RequestContext,
) -> Result<HttpResponse> {
    let Object(FirstCode { code }) = sent.into_inner();
    context.count(Act::Change, &user, 1)?;
    let (claim, ip) = (context.claim_again(&user)?, context.facts.ip.as_deref());
    match manage::add_app(&context.sessions, (&user, claim), (code, false), ip).await? {
        Some(Added::Yes(Some(codes)) | Added::Again(codes)) => {
            Ok(unstored(HttpResponse::Ok().json(json!({ "recoveryCodes": in_groups(&codes) }))))
        }
        Some(Added::Yes(None)) => Ok(HttpResponse::Ok().json(json!({}))),
        Some(Added::Wrong(why)) => Err(Error::Invalid(why.in_words())),
        Some(Added::Exists) => Err(exists()),
        None => Err(context.ended_meanwhile().await?),
    }
}

/// `DELETE /api/second-factor/app`
///
/// # Errors
/// [`Error::ConfirmationRequired`]; [`Error::NotFound`] if there is no app; [`Error::Conflict`] if the account needs it.
pub async fn remove_app(user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    context.count(Act::Change, &user, 1)?;
    match manage::remove_app(&context.sessions, &user, context.facts.ip.as_deref()).await? {
        Some(Removed::Yes) => Ok(HttpResponse::NoContent().finish()),
        Some(Removed::None) => Err(Error::NotFound),
        Some(Removed::Kept(kept)) => Err(kept.into()),
        None => Err(context.ended_meanwhile().await?),
    }
}

/// `POST /api/second-factor/recovery-codes`
///
/// # Errors
/// [`Error::ConfirmationRequired`], and [`Error::Conflict`] if the account has no second factor.
pub async fn renew_codes(_: Anything, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    context.count(Act::Change, &user, 1)?;
    match manage::renew_codes(&context.sessions, &user, context.facts.ip.as_deref()).await? {
        Some(Renewed::Yes(codes)) => Ok(unstored(HttpResponse::Ok().json(json!({ "codes": in_groups(&codes) })))),
        Some(Renewed::NoFactor) => Err(Error::Conflict("the account has no second factor".into())),
        None => Err(context.ended_meanwhile().await?),
    }
}

fn exists() -> Error {
    Error::Conflict("the account has an authenticator app already".into())
}

fn in_groups(codes: &[RecoveryCode]) -> Vec<String> {
    codes.iter().map(RecoveryCode::in_groups).collect()
}
