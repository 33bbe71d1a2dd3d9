//! The first start: whoever opens the one-time link makes the owner's account.

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
        context::Desk,
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

/// What the form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    token: String,
    email: String,
    name: String,
    password: String,
}

/// `GET /setup`
pub async fn show(query: web::Query<Query>, desk: Desk) -> Result<HttpResponse> {
    let token = query.into_inner().token;
    let secret = Secret::presented(&*token);
    match setup::judge(&desk.sessions.db, &secret).await? {
        Link::Good => form(StatusCode::OK, &desk, AccountForm { setup: token, usable: true, ..AccountForm::default() }),
        refused => refuse(&desk, refused),
    }
}

/// `POST /setup`
///
/// # Errors
/// None for bad input or a database that is away: those show the form again.
pub async fn submit(query: web::Query<Query>, sent: Form<Fields>, desk: Desk) -> Result<HttpResponse> {
    let Fields { token, email, name, password } = sent.fields;
    let token = if token.is_empty() { query.into_inner().token } else { token };
    let again = AccountForm { setup: token, email, name, usable: true, ..AccountForm::default() };
    if !sent.is_fresh {
        if desk.is_signed_in_as(&again.email) {
            return Ok(layout::see_other(return_to::HOME));
        }
        let problem = Some(not_fresh(sent.is_without_cookies));
        return form(StatusCode::UNPROCESSABLE_ENTITY, &desk, AccountForm { problem, ..again });
    }
    let link = Secret::presented(&*again.setup);
    match setup::judge(&desk.sessions.db, &link).await {
        Ok(Link::Good) => {}
        Ok(Link::NotNeeded) => return owner_again(&desk, again, password).await,
        Ok(Link::Bad) => return refuse(&desk, Link::Bad),
        Err(error) => return again.again(error, |status, again| form(status, &desk, again)),
    }
    let (typed, again) = match again.check(password.clone()) {
        Ok(checked) => checked,
        Err(again) => return form(StatusCode::UNPROCESSABLE_ENTITY, &desk, *again),
    };
    match create_owner(&desk, link, typed).await {
        Ok(CreatedOwner::Yes(welcome)) => let_in(&desk, &welcome, layout::see_other(return_to::HOME)),
        Ok(CreatedOwner::Refused(Link::NotNeeded)) => owner_again(&desk, again, password).await,
        Ok(CreatedOwner::Refused(link)) => refuse(&desk, link),
        Ok(CreatedOwner::AddressTaken) => form(StatusCode::UNPROCESSABLE_ENTITY, &desk, again.address_taken()),
        Err(error) => again.again(error, |status, again| form(status, &desk, again)),
    }
}

/// There is an owner. If this very form created it and was sent twice, signs the owner in; anybody else is told no more.
async fn owner_again(desk: &Desk, again: AccountForm, password: String) -> Result<HttpResponse> {
    match sign_in_again(desk, &again.email, password).await {
        Ok(Some(welcome)) => let_in(desk, &welcome, layout::see_other(return_to::HOME)),
        Ok(None) => refuse(desk, Link::NotNeeded),
        Err(error) => again.again(error, |status, again| form(status, desk, again)),
    }
}

async fn create_owner(desk: &Desk, link: Secret, typed: Typed) -> Result<CreatedOwner> {
    let owner = newcomer(desk, typed.email, typed.name, typed.password)?;
    setup::create_owner(&desk.prover, &desk.sessions, link, owner).await
}

fn refuse(desk: &Desk, link: Link) -> Result<HttpResponse> {
    let words = match link {
        Link::NotNeeded => "This link has been used. Sessile has an owner, so you can sign in.",
        Link::Good | Link::Bad => {
            "This link is not good any more. Restart Sessile and open the link that it prints; it works for a day."
        }
    };
    form(StatusCode::FORBIDDEN, desk, AccountForm { problem: Some(words.to_owned()), ..AccountForm::default() })
}

fn form(status: StatusCode, desk: &Desk, template: AccountForm) -> Result<HttpResponse> {
    desk.form(|token| {
        let page = Page::new(&desk.req, "Set up");
        let (heading, lead) = ("Set up Sessile", "You will be its owner. It takes a minute.");
        layout::answer(status, &AccountForm { page, token, action: "/setup", heading, lead, ..template })
    })
}
