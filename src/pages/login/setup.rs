//! The page `/setup`, for the first start: the holder of the one-time link creates the owner's account. Called by the
//! routes.
//!
//! Invariant: opening the link changes nothing. Only creating the owner uses it up.

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use super::{
    new_account::{AccountForm, Typed, not_fresh},
    visit::{let_in, newcomer, sign_in_again},
};
use crate::{
    actions::setup::{self, CreatedOwner, Link},
    base::{error::Result, secret::Secret},
    web::{
        context::RequestContext,
        forms::Form,
        layout::{self, Page},
        return_to,
    },
};

/// The link's secret.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    token: String,
}

/// The fields of the form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    token: String,
    email: String,
    name: String,
    password: String,
}

/// `GET /setup`
pub async fn show(query: web::Query<Query>, context: RequestContext) -> Result<HttpResponse> {
    let token = query.into_inner().token;
    let secret = Secret::presented(&*token);
    match setup::check_link(&context.sessions.db, &secret).await? {
        Link::Good => {
            form(StatusCode::OK, &context, AccountForm { setup: token, usable: true, ..AccountForm::default() })
        }
        refused => refuse(&context, refused),
    }
}

/// `POST /setup`
///
/// # Errors
/// None for bad input or an unavailable database, which show the form again.
pub async fn submit(query: web::Query<Query>, sent: Form<Fields>, context: RequestContext) -> Result<HttpResponse> {
    let Fields { token, email, name, password } = sent.fields;
    let token = if token.is_empty() { query.into_inner().token } else { token };
    let again = AccountForm { setup: token, email, name, usable: true, ..AccountForm::default() };
    if !sent.is_fresh {
        if context.is_signed_in_as(&again.email) {
            return Ok(layout::see_other(return_to::HOME));
        }
        let problem = Some(not_fresh(sent.is_without_cookies));
        return form(StatusCode::UNPROCESSABLE_ENTITY, &context, AccountForm { problem, ..again });
    }
    let link = Secret::presented(&*again.setup);
    match setup::check_link(&context.sessions.db, &link).await {
        Ok(Link::Good) => {}
        Ok(Link::NotNeeded) => return owner_again(&context, again, password).await,
        Ok(Link::Bad) => return refuse(&context, Link::Bad),
        Err(error) => return again.again(error, |status, again| form(status, &context, again)),
    }
    let (typed, again) = match again.check(password.clone(), context.prover.hasher.lengths) {
        Ok(checked) => checked,
        Err(again) => return form(StatusCode::UNPROCESSABLE_ENTITY, &context, *again),
    };
    match create_owner(&context, link, typed).await {
        Ok(CreatedOwner::Yes(welcome)) => let_in(&context, &welcome, layout::see_other(return_to::HOME)),
        Ok(CreatedOwner::Refused(Link::NotNeeded)) => owner_again(&context, again, password).await,
        Ok(CreatedOwner::Refused(link)) => refuse(&context, link),
        Ok(CreatedOwner::AddressTaken) => form(StatusCode::UNPROCESSABLE_ENTITY, &context, again.address_taken()),
        Err(error) => again.again(error, |status, again| form(status, &context, again)),
    }
}

/// Handles a form that arrives after an owner exists. If this same form created the owner and was sent twice, signs the
/// owner in. Otherwise refuses the link without further detail.
async fn owner_again(context: &RequestContext, again: AccountForm, password: String) -> Result<HttpResponse> {
    match sign_in_again(context, &again.email, password).await {
        Ok(Some(welcome)) => let_in(context, &welcome, layout::see_other(return_to::HOME)),
        Ok(None) => refuse(context, Link::NotNeeded),
        Err(error) => again.again(error, |status, again| form(status, context, again)),
    }
}

async fn create_owner(context: &RequestContext, link: Secret, typed: Typed) -> Result<CreatedOwner> {
    let owner = newcomer(context, typed.email, typed.name, typed.password)?;
    setup::create_owner(&context.prover, &context.sessions, link, owner).await
}

fn refuse(context: &RequestContext, link: Link) -> Result<HttpResponse> {
    let words = match link {
        Link::NotNeeded => "This link has been used. There is an owner, so you can sign in.",
        Link::Good | Link::Bad => {
            "This link no longer works. Restart the program and open the link that it prints. It works for 24 hours."
        }
    };
    form(StatusCode::FORBIDDEN, context, AccountForm { problem: Some(words.to_owned()), ..AccountForm::default() })
}

fn form(status: StatusCode, context: &RequestContext, template: AccountForm) -> Result<HttpResponse> {
    context.form(|token| {
        let page = Page::new(&context.req, "Set up");
        let heading = format!("Set up {}", context.site.brand.name);
        let lead = "You will be its owner. It takes a minute.";
        layout::answer(
            status,
            &AccountForm {
                page,
                token,
                action: "/setup",
                heading,
                lead,
                password_hint: context.prover.hasher.lengths.in_words(false),
                sign_in: return_to::LOGIN.to_owned(),
                ..template
            },
        )
    })
}
