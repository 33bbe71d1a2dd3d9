//! A person's own data: the questions before it is downloaded (`/account/export`) and before the account is deleted
//! (`/account/delete`), and the API for both. Called by the routes.
//!
//! Invariant: both need a recent confirmation. Opening a page changes nothing.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;
use serde::Deserialize;

use crate::{
    actions::person::{change::Refused, export, leave},
    base::error::Result,
    records::session::{Acting, CurrentUser},
    web::{
        confirmed::{confirmed, explained},
        context::RequestContext,
        download,
        forms::Form,
        layout::{self, Page},
        rates::Act,
        signed_out::{clear_cache, signed_out},
    },
};

/// The field of both forms.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    current_password: String,
}

/// What to do with the own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Export,
    Delete,
}

#[derive(Template)]
#[template(path = "account_page/question.html")]
struct QuestionPage {
    page: Page,
    token: String,
    email: String,
    deed: Deed,
    heading: &'static str,
    lead: &'static str,
    button: &'static str,
    asks_password: bool,
    notice: Option<&'static str>,
    password_error: Option<String>,
}

/// Why the question is asked again.
#[derive(Default)]
struct Again {
    notice: Option<&'static str>,
    password_error: Option<String>,
}

/// `GET /account/export`
pub async fn ask_export(user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    ask(StatusCode::OK, (&context, &user), Deed::Export, Again::default())
}

/// `POST /account/export`
pub async fn submit_export(
    sent: Form<Fields>,
    user: Result<CurrentUser>,
    context: RequestContext,
) -> Result<HttpResponse> {
    submit(sent, user, context, Deed::Export).await
}

/// `GET /account/delete`
pub async fn ask_delete(user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    ask(StatusCode::OK, (&context, &user), Deed::Delete, Again::default())
}

/// `POST /account/delete`
pub async fn submit_delete(
    sent: Form<Fields>,
    user: Result<CurrentUser>,
    context: RequestContext,
) -> Result<HttpResponse> {
    submit(sent, user, context, Deed::Delete).await
}

/// `GET /api/account/export`
///
/// # Errors
/// [`Error::ConfirmationRequired`](crate::base::error::Error::ConfirmationRequired).
pub async fn export(user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    context.count(Act::Change, &user, 1)?;
    let (db, ip) = (&context.sessions.db, context.facts.ip.as_deref());
    match export::own(db, &user, user.acting(), ip).await? {
        Some(kept) => Ok(HttpResponse::Ok().json(kept)),
        None => Err(context.ended_meanwhile().await?),
    }
}

/// `DELETE /api/account`
///
/// # Errors
/// [`Error::ConfirmationRequired`](crate::base::error::Error::ConfirmationRequired), and
/// [`Error::Conflict`](crate::base::error::Error::Conflict) for the last owner.
pub async fn delete(user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    context.count(Act::Change, &user, 1)?;
    leave(&context, &user, user.acting()).await??;
    let mut answer = HttpResponse::NoContent().finish();
    clear_cache(&mut answer);
    Ok(answer)
}

async fn submit(
    sent: Form<Fields>,
    user: Result<CurrentUser>,
    context: RequestContext,
    deed: Deed,
) -> Result<HttpResponse> {
    let user = match user {
        Ok(user) => user,
        Err(error) => return context.go_on_by_login(error, "/account"),
    };
    let again = |status, again| ask(status, (&context, &user), deed, again);
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please try again.");
        return again(StatusCode::UNPROCESSABLE_ENTITY, Again { notice, ..Again::default() });
    }
    let acting = match confirmed(&context, &user, &sent.fields.current_password).await? {
        Ok(confirmation) => confirmation.acting,
        Err(not) => return again(not.status, Again { password_error: Some(not.words), ..Again::default() }),
    };
    match deed {
        Deed::Export => {
            let ip = context.facts.ip.as_deref();
            match export::own(&context.sessions.db, &user, acting, ip).await {
                Ok(Some(kept)) => download::json("my-data.json", &kept),
                Ok(None) => Err(context.ended_meanwhile().await?),
                Err(error) => Err(explained(&context, error).await?),
            }
        }
        Deed::Delete => match leave(&context, &user, acting).await? {
            Ok(()) => Ok(signed_out("/login?done=leaving", &user.record.id)),
            Err(refused) => {
                again(StatusCode::UNPROCESSABLE_ENTITY, Again { notice: Some(refused.words()), ..Again::default() })
            }
        },
    }
}

async fn leave(context: &RequestContext, user: &CurrentUser, acting: Acting) -> Result<Result<(), Refused>> {
    let (db, ip) = (&context.sessions.db, context.facts.ip.as_deref());
    match leave::ask(db, user, acting, ip).await? {
        Some(Ok(())) => {
            context.goodbye(true);
            Ok(Ok(()))
        }
        Some(Err(refused)) => Ok(Err(refused)),
        None => Err(context.ended_meanwhile().await?),
    }
}

fn ask(
    status: StatusCode,
    (context, user): (&RequestContext, &CurrentUser),
    deed: Deed,
    again: Again,
) -> Result<HttpResponse> {
    let (heading, lead, button) = match deed {
        Deed::Export => (
            "Download your data?",
            "You get a file with everything that is kept about you: your account, devices, sign-ins, drafts and activity.",
            "Download",
        ),
        Deed::Delete => (
            "Delete your account?",
            "You are signed out everywhere at once. After 14 days everything that is kept about you is deleted, with your \
             drafts. If you change your mind, sign in before then.",
            "Delete my account",
        ),
    };
    context.form(|token| {
        let template = QuestionPage {
            page: Page::new(&context.req, heading),
            token,
            email: user.account.email.clone(),
            deed,
            heading,
            lead,
            button,
            asks_password: !user.is_confirmed(),
            notice: again.notice,
            password_error: again.password_error,
        };
        layout::answer(status, &template)
    })
}
