//! Making an account for oneself, where that is allowed and once there is an owner; elsewhere there is no such address.

use actix_web::{HttpResponse, http::StatusCode};
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
        context::Desk,
        forms::Form,
        layout::{self, Page},
        return_to,
    },
};

/// What the form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    email: String,
    name: String,
    password: String,
}

/// `GET /signup`
///
/// # Errors
/// [`Error::NotFound`] where sign-up is closed.
pub async fn show(desk: Desk) -> Result<HttpResponse> {
    if desk.facts.live().is_some() {
        return Ok(layout::see_other(return_to::HOME));
    }
    must_be_open(&desk).await?;
    form(StatusCode::OK, &desk, AccountForm::default())
}

/// `POST /signup`
///
/// # Errors
/// [`Error::NotFound`] where sign-up is closed. Bad input, too many tries and a database that is away show the form
/// again.
pub async fn submit(sent: Form<Fields>, desk: Desk) -> Result<HttpResponse> {
    must_be_open(&desk).await?;
    let Fields { email, name, password } = sent.fields;
    let again = AccountForm { email, name, ..AccountForm::default() };
    if !sent.is_fresh {
        if desk.is_signed_in_as(&again.email) {
            return Ok(layout::see_other(return_to::HOME));
        }
        let problem = Some(not_fresh(sent.is_without_cookies));
        return form(StatusCode::UNPROCESSABLE_ENTITY, &desk, AccountForm { problem, ..again });
    }
    match sign_in_again(&desk, &again.email, password.clone()).await {
        Ok(Some(welcome)) => return let_in(&desk, &welcome, layout::see_other(return_to::HOME)),
        Ok(None) => {}
        Err(error) => return again.again(error, |status, again| form(status, &desk, again)),
    }
    let (typed, again) = match again.check(password.clone()) {
        Ok(checked) => checked,
        Err(again) => return form(StatusCode::UNPROCESSABLE_ENTITY, &desk, *again),
    };
    match create(&desk, typed).await {
        Ok(Some(welcome)) => let_in(&desk, &welcome, layout::see_other(return_to::HOME)),
        Ok(None) => match sign_in_again(&desk, &again.email, password).await? {
            Some(welcome) => let_in(&desk, &welcome, layout::see_other(return_to::HOME)),
            None => form(StatusCode::UNPROCESSABLE_ENTITY, &desk, again.address_taken()),
        },
        Err(error) => again.again(error, |status, again| form(status, &desk, again)),
    }
}

async fn must_be_open(desk: &Desk) -> Result<()> {
    let open = desk.site.signup == Signup::Open
        && desk.sessions.db.read(async |conn: &mut Conn<'_>| account::has_owner(conn).await).await?;
    if open { Ok(()) } else { Err(Error::NotFound) }
}

async fn create(desk: &Desk, typed: Typed) -> Result<Option<Box<Welcome>>> {
    let person = newcomer(desk, typed.email, typed.name, typed.password)?;
    sign_up(&desk.prover, &desk.sessions, person).await
}

fn form(status: StatusCode, desk: &Desk, template: AccountForm) -> Result<HttpResponse> {
    desk.form(|token| {
        let page = Page::new(&desk.req, "Make an account");
        let (heading, lead) = ("Make an account", "You stay signed in on this device, and can sign in on others.");
        let form = AccountForm { page, token, action: "/signup", heading, lead, usable: true, ..template };
        layout::answer(status, &form)
    })
}
