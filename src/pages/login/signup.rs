//! The page `/signup`: creates an account, where sign-up is open and an owner exists. Otherwise the address answers
//! 404. Called by the routes.
//!
//! Invariant: a form that is sent twice creates one account and one session.

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use super::{
    new_account::{AccountForm, Typed, not_fresh},
    visit::{let_in, newcomer, sign_in_again},
};
use crate::{
    actions::{new_session::Welcome, sign_up::sign_up},
    base::{
        db::Conn,
        error::{Error, Result},
        settings::Signup,
    },
    records::account,
    web::{
        context::RequestContext,
        forms::Form,
        layout::{self, Page},
        return_to,
    },
};

/// The fields of the form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    email: String,
    name: String,
    password: String,
    next: String,
}

/// The query of the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    next: String,
}

/// `GET /signup`
///
/// # Errors
/// [`Error::NotFound`] where sign-up is closed.
pub async fn show(query: web::Query<Query>, context: RequestContext) -> Result<HttpResponse> {
    let next = return_to::own_address(&context.site.public, &query.next);
    if context.facts.live().is_some() {
        return Ok(layout::see_other(next.as_deref().unwrap_or(return_to::HOME)));
    }
    must_be_open(&context).await?;
    form(StatusCode::OK, &context, AccountForm { next, ..AccountForm::default() })
}

/// `POST /signup`
///
/// # Errors
/// [`Error::NotFound`] where sign-up is closed. Bad input, too many attempts and an unavailable database show the form
/// again.
pub async fn submit(sent: Form<Fields>, context: RequestContext) -> Result<HttpResponse> {
    must_be_open(&context).await?;
    let Fields { email, name, password, next } = sent.fields;
    let next = return_to::own_address(&context.site.public, &next);
    let after = next.clone().unwrap_or_else(|| return_to::HOME.to_owned());
    let again = AccountForm { email, name, next, ..AccountForm::default() };
    if !sent.is_fresh {
        if context.is_signed_in_as(&again.email) {
            return Ok(layout::see_other(&after));
        }
        let problem = Some(not_fresh(sent.is_without_cookies));
        return form(StatusCode::UNPROCESSABLE_ENTITY, &context, AccountForm { problem, ..again });
    }
    match sign_in_again(&context, &again.email, password.clone()).await {
        Ok(Some(welcome)) => return let_in(&context, &welcome, layout::see_other(&after)),
        Ok(None) => {}
        Err(error) => return again.again(error, |status, again| form(status, &context, again)),
    }
    let (typed, again) = match again.check(password.clone(), context.prover.hasher.lengths) {
        Ok(checked) => checked,
        Err(again) => return form(StatusCode::UNPROCESSABLE_ENTITY, &context, *again),
    };
    match create(&context, typed).await {
        Ok(Some(welcome)) => let_in(&context, &welcome, layout::see_other(&after)),
        Ok(None) => match sign_in_again(&context, &again.email, password).await? {
            Some(welcome) => let_in(&context, &welcome, layout::see_other(&after)),
            None => form(StatusCode::UNPROCESSABLE_ENTITY, &context, again.address_taken()),
        },
        Err(error) => again.again(error, |status, again| form(status, &context, again)),
    }
}

async fn must_be_open(context: &RequestContext) -> Result<()> {
    let open = context.site.signup == Signup::Open
        && context.sessions.db.read(async |conn: &mut Conn<'_>| account::has_owner(conn).await).await?;
    if open { Ok(()) } else { Err(Error::NotFound) }
}

async fn create(context: &RequestContext, typed: Typed) -> Result<Option<Box<Welcome>>> {
    let person = newcomer(context, typed.email, typed.name, typed.password)?;
    sign_up(&context.prover, &context.sessions, person).await
}

fn form(status: StatusCode, context: &RequestContext, template: AccountForm) -> Result<HttpResponse> {
    context.form(|token| {
        let page = Page::new(&context.req, "Create account");
        let heading = "Create account".to_owned();
        let lead = "You stay signed in on this device, and can sign in on others.";
        let sign_in = return_to::login_address(template.next.as_deref().unwrap_or("/"));
        let password_hint = context.prover.hasher.lengths.in_words(false);
        let form = AccountForm {
            password_hint,
            page,
            token,
            action: "/signup",
            heading,
            lead,
            usable: true,
            sign_in,
            ..template
        };
        layout::answer(status, &form)
    })
}
