//! The page of a passkey, `/account/security/passkeys/{id}`, where it gets another name, and the question whether to remove
//! it. Called by the routes.
//!
//! Invariant: opening a page changes nothing. A person who has to confirm first comes back to the page they wanted.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use crate::{
    actions::{passkeys::manage, second_factor::last::Kept},
    base::{
        db::Conn,
        error::{Error, Result},
        text::is_id,
    },
    records::{
        passkey::{self, Passkey},
        session::CurrentUser,
    },
    web::{
        context::RequestContext,
        forms::Form,
        layout::{self, Page, When},
        rates::Act,
        return_to,
    },
};

/// The page with the list.
const LIST: &str = "/account/security";

/// The fields of the form.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    name: String,
}

#[derive(Template)]
#[template(path = "security/passkey.html")]
struct PasskeyPage {
    page: Page,
    token: String,
    id: String,
    name: String,
    added: When,
    used: Option<When>,
    used_on: Option<String>,
    is_copied: bool,
    notice: Option<&'static str>,
    name_error: Option<String>,
}

#[derive(Template)]
#[template(path = "security/passkey_remove.html")]
struct RemovePage {
    page: Page,
    token: String,
    id: String,
    name: String,
    /// Whether it is the person's only second factor.
    is_last: bool,
    notice: Option<&'static str>,
    /// Why the passkey stays.
    kept: Option<Kept>,
}

/// What the form says about what was typed.
#[derive(Default)]
struct Again {
    typed: Option<String>,
    notice: Option<&'static str>,
    name_error: Option<String>,
}

/// `GET /account/security/passkeys/{id}`
///
/// # Errors
/// [`Error::NotFound`] when the account has no such passkey.
pub async fn show(id: web::Path<String>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    let passkey = find(&context, &user, &id).await?;
    draw(StatusCode::OK, (&context, &user), passkey, Again::default())
}

/// `POST /account/security/passkeys/{id}`
///
/// # Errors
/// Like [`show`].
pub async fn submit(
    sent: Form<Fields>,
    id: web::Path<String>,
    user: Result<CurrentUser>,
    context: RequestContext,
) -> Result<HttpResponse> {
    let user = match user {
        Ok(user) => user,
        Err(error) => return context.go_on_by_login(error, LIST),
    };
    let passkey = find(&context, &user, &id).await?;
    let typed = Some(sent.fields.name.clone());
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please try again.");
        let again = Again { typed, notice, ..Again::default() };
        return draw(StatusCode::UNPROCESSABLE_ENTITY, (&context, &user), passkey, again);
    }
    let name = match passkey::check_name(&sent.fields.name) {
        Ok(name) => name,
        Err(error) => {
            let again = Again { typed, name_error: Some(sentence(&error.to_string())), ..Again::default() };
            return draw(StatusCode::UNPROCESSABLE_ENTITY, (&context, &user), passkey, again);
        }
    };
    context.count(Act::Change, &user, 1)?;
    match manage::rename(&context.sessions.db, &user, passkey.id, name, context.facts.ip.as_deref()).await? {
        Some(()) => Ok(layout::see_other("/account/security?done=passkey-renamed")),
        None => Err(context.ended_meanwhile().await?),
    }
}

/// `GET /account/security/passkeys/{id}/remove`
///
/// # Errors
/// Like [`show`].
pub async fn ask_removal(id: web::Path<String>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    let passkey = find(&context, &user, &id).await?;
    if !user.may_change_proofs() {
        return Ok(confirm_first(&passkey));
    }
    question(StatusCode::OK, (&context, &user), passkey, (None, None))
}

/// `POST /account/security/passkeys/{id}/remove`
///
/// # Errors
/// Like [`show`].
pub async fn remove(
    sent: Form<Nothing>,
    id: web::Path<String>,
    user: Result<CurrentUser>,
    context: RequestContext,
) -> Result<HttpResponse> {
    let user = match user {
        Ok(user) => user,
        Err(error) => return context.go_on_by_login(error, LIST),
    };
    let passkey = find(&context, &user, &id).await?;
    if !user.may_change_proofs() {
        return Ok(confirm_first(&passkey));
    }
    if !sent.is_fresh {
        let notice = Some("This page had been open for a while. Please try again.");
        return question(StatusCode::UNPROCESSABLE_ENTITY, (&context, &user), passkey, (notice, None));
    }
    context.count(Act::Change, &user, 1)?;
    let ip = context.facts.ip.as_deref();
    match manage::remove(&context.sessions, &user, passkey.id.clone(), ip).await {
        Ok(Some(Ok(()))) => Ok(layout::see_other("/account/security?done=passkey-removed")),
        Ok(Some(Err(kept))) => question(StatusCode::CONFLICT, (&context, &user), passkey, (None, Some(kept))),
        Ok(None) => Err(context.ended_meanwhile().await?),
        Err(Error::ConfirmationRequired) => Ok(confirm_first(&passkey)),
        Err(error) => Err(error),
    }
}

/// The form of a question has no fields of its own.
#[derive(Debug, Default, Deserialize)]
pub struct Nothing {}

async fn find(context: &RequestContext, user: &CurrentUser, id: &str) -> Result<Passkey> {
    if !is_id(id) {
        return Err(Error::NotFound);
    }
    let (account_id, id) = (user.account.id.clone(), id.to_owned());
    let one = async move |conn: &mut Conn<'_>| passkey::one(conn, &account_id, &id).await;
    context.sessions.db.read(one).await?.ok_or(Error::NotFound)
}

fn confirm_first(passkey: &Passkey) -> HttpResponse {
    let page = format!("/account/security/passkeys/{}/remove", passkey.id);
    layout::see_other(&return_to::second_confirmation("/confirm", &page))
}

/// The message as a sentence of the page.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn draw(
    status: StatusCode,
    (context, user): (&RequestContext, &CurrentUser),
    passkey: Passkey,
    again: Again,
) -> Result<HttpResponse> {
    let Again { typed, notice, name_error } = again;
    context.form(|token| {
        let template = PasskeyPage {
            page: Page::new(&context.req, "Passkey"),
            token,
            added: When::past(passkey.created_at, user.now),
            used: passkey.last_used_at.map(|at| When::past(at, user.now)),
            used_on: passkey.last_used_on,
            is_copied: passkey.warned_at.is_some(),
            name: typed.unwrap_or(passkey.name),
            id: passkey.id,
            notice,
            name_error,
        };
        layout::answer(status, &template)
    })
}

fn question(
    status: StatusCode,
    (context, user): (&RequestContext, &CurrentUser),
    passkey: Passkey,
    (notice, kept): (Option<&'static str>, Option<Kept>),
) -> Result<HttpResponse> {
    context.form(|token| {
        let template = RemovePage {
            page: Page::new(&context.req, "Remove a passkey"),
            token,
            is_last: user.account.second_factors == 1,
            name: passkey.name,
            id: passkey.id,
            notice,
            kept,
        };
        layout::answer(status, &template)
    })
}
