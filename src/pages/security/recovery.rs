//! The page `/account/security/recovery`: says how many recovery codes are left, and makes new ones. Called by the routes.
//!
//! Invariant: opening the page changes nothing, and shows no code.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;
use serde::Deserialize;

use super::{
    OVERVIEW, STALE, confirm_first,
    shown::{self, Made},
};
use crate::{
    actions::second_factor::manage::{self, Renewed},
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::{
        second_factor::{self, Present},
        session::CurrentUser,
    },
    web::{
        context::RequestContext,
        forms::Form,
        layout::{self, Page},
        rates::Act,
    },
};

const ADDRESS: &str = "/account/security/recovery";

/// The form has no fields but its token.
#[derive(Debug, Default, Deserialize)]
pub struct Nothing {}

#[derive(Template)]
#[template(path = "security/recovery.html")]
struct RecoveryPage {
    page: Page,
    token: String,
    left: usize,
    notice: Option<&'static str>,
}

/// `GET /account/security/recovery`
pub async fn show(user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    if !user.account.has_second_factor() {
        return Ok(layout::see_other(OVERVIEW));
    }
    if !user.may_change_proofs() {
        return Ok(confirm_first(ADDRESS));
    }
    ask(StatusCode::OK, &context, &user, None).await
}

/// `POST /account/security/recovery`
pub async fn submit(sent: Form<Nothing>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    if !user.may_change_proofs() {
        return Ok(confirm_first(ADDRESS));
    }
    if !sent.is_fresh {
        return ask(StatusCode::UNPROCESSABLE_ENTITY, &context, &user, Some(STALE)).await;
    }
    context.count(Act::Change, &user, 1)?;
    match manage::renew_codes(&context.sessions, &user, context.facts.ip.as_deref()).await {
        Ok(Some(Renewed::Yes(codes))) => shown::codes(&context, &user, &codes, (Made::Anew, None)),
        Ok(Some(Renewed::NoFactor)) => Ok(layout::see_other(OVERVIEW)),
        Ok(None) => Err(context.ended_meanwhile().await?),
        Err(Error::ConfirmationRequired) => Ok(confirm_first(ADDRESS)),
        Err(error) => Err(error),
    }
}

async fn ask(
    status: StatusCode,
    context: &RequestContext,
    user: &CurrentUser,
    notice: Option<&'static str>,
) -> Result<HttpResponse> {
    let id = user.account.id.clone();
    let read = async move |conn: &mut Conn<'_>| second_factor::present(conn, &id).await;
    let Present { recovery_left: left, .. } = context.sessions.db.read(read).await?;
    context.form(|token| {
        let page = Page::new(&context.req, "New recovery codes");
        layout::answer(status, &RecoveryPage { page, token, left, notice })
    })
}
