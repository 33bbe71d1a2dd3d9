//! The page `/forgot`: asks an administrator for a link with which the person can choose a new password. Called by the routes.
//!
//! Invariant: the page never reveals whether an account exists.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use crate::{
    actions::links::forgot::Asked,
    base::error::Result,
    records::account::EmailAddress,
    web::{
        context::RequestContext,
        form_again::{Lost, TooMany, form_again_after},
        forms::{Form, NO_COOKIES},
        layout::{self, Page},
    },
};

/// The field of the form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    email: String,
}

/// Whether a request was sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    done: String,
    /// `second` for a person who lost their second factor.
    why: String,
}

#[derive(Template)]
#[template(path = "login/forgot.html")]
struct ForgotPage {
    page: Page,
    token: String,
    is_done: bool,
    /// Whether the person lost their second factor, and not their password.
    lost_second: bool,
    /// Whether the link comes by mail, not from an administrator.
    by_mail: bool,
    email: String,
    problem: Option<String>,
    email_error: Option<String>,
}

/// What the page shows.
#[derive(Debug, Default)]
struct Again {
    is_done: bool,
    lost_second: bool,
    email: String,
    problem: Option<String>,
    email_error: Option<String>,
}

/// `GET /forgot`
pub async fn show(query: web::Query<Query>, context: RequestContext) -> Result<HttpResponse> {
    let again = Again { is_done: query.done == "asked", lost_second: query.why == "second", ..Again::default() };
    form(StatusCode::OK, &context, again)
}

/// `POST /forgot`
///
/// # Errors
/// None for bad input, too many requests or an unavailable database, which show the form again.
pub async fn submit(sent: Form<Fields>, context: RequestContext) -> Result<HttpResponse> {
    let again = Again { email: sent.fields.email, ..Again::default() };
    if !sent.is_fresh {
        let words =
            if sent.is_without_cookies { NO_COOKIES } else { "This page had been open for a while. Please try again." };
        return form(StatusCode::UNPROCESSABLE_ENTITY, &context, Again { problem: Some(words.to_owned()), ..again });
    }
    let email = match EmailAddress::known(&again.email) {
        Ok(email) => email,
        Err(error) => {
            let email_error = Some(error.to_string());
            return form(StatusCode::UNPROCESSABLE_ENTITY, &context, Again { email_error, ..again });
        }
    };
    let asked = Asked { email, network: context.network()?, ip: context.facts.ip.clone() };
    match context.site.help.ask(&context.sessions.db, &context.sessions.letters, asked).await {
        Ok(()) => Ok(layout::see_other("/forgot?done=asked")),
        Err(error) => form_again_after(error, TooMany::NewAccounts, Lost::Nothing, |status, words| {
            form(status, &context, Again { problem: Some(words), ..again })
        }),
    }
}

fn form(status: StatusCode, context: &RequestContext, again: Again) -> Result<HttpResponse> {
    let Again { is_done, lost_second, email, problem, email_error } = again;
    let by_mail = context.sessions.letters.is_on();
    context.form(|token| {
        let title = if lost_second { "Lost your phone or codes?" } else { "Forgot your password?" };
        let page = Page::new(&context.req, title);
        layout::answer(status, &ForgotPage { page, token, is_done, lost_second, by_mail, email, problem, email_error })
    })
}
