//! The page `/link/{token}`: an invited person, or one who forgot their password, chooses a password. Called by the routes.
//!
//! Invariant: opening the page changes nothing, because mail programs open links too. Only sending its form uses the link up.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use super::{
    hand_over,
    new_account::not_fresh,
    new_address, not_me, second,
    visit::{self, let_in, sign_in_again},
};
use crate::{
    actions::links::accept::{self, Accepted, Choice, Opened},
    base::{
        error::{Error, Result},
        secret::{Secret, is_base64url},
    },
    records::{account, link::Purpose, session::CurrentUser},
    web::{
        context::RequestContext,
        form_again::{Lost, TooMany, form_again_after},
        forms::Form,
        layout::{self, Page},
        return_to,
    },
};

/// The length of a token.
const TOKEN: usize = 43;

/// The fields of the form. An invitation also asks for the name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    name: Option<String>,
    password: String,
}

#[derive(Template)]
#[template(path = "login/link.html")]
struct LinkPage {
    page: Page,
    token: String,
    /// The link's own token.
    link: String,
    email: String,
    is_invitation: bool,
    /// How long a new password must be.
    password_hint: String,
    again: Again,
}

#[derive(Template)]
#[template(path = "login/link_gone.html")]
struct GonePage {
    page: Page,
}

/// What the form shows again.
#[derive(Debug, Default)]
struct Again {
    name: String,
    problem: Option<String>,
    name_error: Option<String>,
    password_error: Option<String>,
}

/// `GET /link/{token}`. Answers 410 for a link that does not work.
pub async fn show(token: web::Path<String>, context: RequestContext) -> Result<HttpResponse> {
    let Some(opened) = find(&context, &token).await?.filter(|opened| opened.is_good) else { return gone(&context) };
    match opened.purpose {
        Purpose::NotMe => not_me::show(&context, &token),
        Purpose::Address => new_address::show(StatusCode::OK, &context, (&token, None)),
        Purpose::HandOver => hand_over::show(&context, &token).await?.map_or_else(|| gone(&context), Ok),
        _ => {
            let again = Again { name: opened.person.name.clone(), ..Again::default() };
            form(StatusCode::OK, &context, (&token, &opened), again)
        }
    }
}

/// `POST /link/{token}`
///
/// # Errors
/// None for bad input, too many attempts or an unavailable database, which show the form again.
pub async fn submit(
    token: web::Path<String>,
    sent: Form<Fields>,
    user: Result<CurrentUser>,
    context: RequestContext,
) -> Result<HttpResponse> {
    let Some(opened) = find(&context, &token).await? else { return gone(&context) };
    let done = match (opened.purpose, sent.is_fresh) {
        (Purpose::Invitation | Purpose::Password, _) => {
            return choose(&context, (&token, &opened), sent).await;
        }
        (Purpose::HandOver, true) => hand_over::submit(&context, &token).await?,
        (Purpose::HandOver, false) => hand_over::show(&context, &token).await?,
        (Purpose::Address, _) if !opened.is_good => None,
        (Purpose::Address, true) => new_address::submit(&context, user, &token).await?,
        (Purpose::Address, false) => {
            Some(new_address::show(StatusCode::UNPROCESSABLE_ENTITY, &context, (&token, None))?)
        }
        (_, true) => not_me::submit(&context, &token).await?,
        (_, false) if opened.is_good => Some(not_me::show(&context, &token)?),
        (_, false) => None,
    };
    done.map_or_else(|| gone(&context), Ok)
}

/// Handles the form of an invitation, or of a link for a new password.
async fn choose(
    context: &RequestContext,
    (token, opened): (&str, &Opened),
    sent: Form<Fields>,
) -> Result<HttpResponse> {
    let Fields { name, password } = sent.fields;
    let again = Again { name: name.unwrap_or_default(), ..Again::default() };
    let refuse = |again| form(StatusCode::UNPROCESSABLE_ENTITY, context, (token, opened), again);
    if !sent.is_fresh {
        if !opened.is_good && context.is_signed_in_as(&opened.person.email) {
            return Ok(layout::see_other(return_to::HOME));
        }
        let problem = Some(not_fresh(sent.is_without_cookies));
        return if opened.is_good { refuse(Again { problem, ..again }) } else { gone(context) };
    }
    if !opened.is_good {
        return used_twice(context, opened, password).await;
    }
    let (name, name_error) = match account::display_name(&again.name) {
        Ok(name) => (Some(name).filter(|name| !name.is_empty()), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let name = name.filter(|_| opened.purpose == Purpose::Invitation);
    let lengths = context.prover.hasher.lengths;
    let password_error =
        lengths.check(&password, opened.person.has_second_factor()).err().map(|error| error.to_string());
    if name_error.is_some() || password_error.is_some() {
        return refuse(Again { name_error, password_error, ..again });
    }
    match accept(context, token, name, password.clone()).await {
        Ok(Accepted::Yes(welcome)) => let_in(context, &welcome, layout::see_other(return_to::HOME)),
        Ok(Accepted::Half(step)) => second::ask(context, step.half, None),
        Ok(Accepted::Gone) => used_twice(context, opened, password).await,
        Err(Error::Invalid(words)) => refuse(Again { password_error: Some(words), ..again }),
        Err(error) => form_again_after(error, TooMany::NewAccounts, Lost::Password, |status, words| {
            form(status, context, (token, opened), Again { problem: Some(words), ..again })
        }),
    }
}

async fn find(context: &RequestContext, token: &str) -> Result<Option<Opened>> {
    if !is_base64url(token, TOKEN) {
        return Ok(None);
    }
    let opened = accept::look_up(&context.sessions.db, &Secret::presented(token)).await?;
    Ok(opened.filter(|opened| {
        use Purpose::{Address, HandOver, Invitation, NotMe, Password};
        matches!(opened.purpose, Invitation | Password | HandOver | NotMe | Address)
    }))
}

async fn accept(context: &RequestContext, token: &str, name: Option<String>, password: String) -> Result<Accepted> {
    let choice = Choice { name, password, network: context.network()?, visit: visit::of(context) };
    accept::accept(&context.prover, &context.sessions, Secret::presented(token), choice).await
}

/// Handles a form whose link was used already. If the same form was sent twice, signs the person in.
async fn used_twice(context: &RequestContext, opened: &Opened, password: String) -> Result<HttpResponse> {
    match sign_in_again(context, &opened.person.email, password).await {
        Ok(Some(welcome)) => let_in(context, &welcome, layout::see_other(return_to::HOME)),
        Ok(None) | Err(Error::TooManyAttempts(_) | Error::TooFast(_)) => gone(context),
        Err(error) => Err(error),
    }
}

fn gone(context: &RequestContext) -> Result<HttpResponse> {
    layout::answer(StatusCode::GONE, &GonePage { page: Page::new(&context.req, "This link no longer works") })
}

fn form(
    status: StatusCode,
    context: &RequestContext,
    (link, opened): (&str, &Opened),
    again: Again,
) -> Result<HttpResponse> {
    let is_invitation = opened.purpose == Purpose::Invitation;
    context.form(|token| {
        let page = Page::new(&context.req, if is_invitation { "Welcome" } else { "New password" });
        let email = opened.person.email.clone();
        let password_hint = context.prover.hasher.lengths.in_words(opened.person.has_second_factor());
        let link = link.to_owned();
        layout::answer(status, &LinkPage { page, token, link, email, is_invitation, password_hint, again })
    })
}
