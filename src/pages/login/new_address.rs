//! The page of the link in the mail to a new address. Called by the page for links.
//!
//! Invariant: opening the page changes nothing. Only the person themselves, signed in, makes the address count: the mail may
//! have gone to a stranger.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;

use crate::{
    actions::person::address::{self, Verified},
    base::{
        error::{Error, Result},
        secret::Secret,
    },
    records::session::CurrentUser,
    web::{
        context::RequestContext,
        layout::{self, Page},
    },
};

#[derive(Template)]
#[template(path = "login/new_address.html")]
struct NewAddressPage {
    page: Page,
    token: String,
    link: String,
    problem: Option<&'static str>,
}

pub(super) fn show(
    status: StatusCode,
    context: &RequestContext,
    (link, problem): (&str, Option<&'static str>),
) -> Result<HttpResponse> {
    context.form(|token| {
        let page = Page::new(&context.req, "Your new email address");
        layout::answer(status, &NewAddressPage { page, token, link: link.to_owned(), problem })
    })
}

/// Makes the address count. `None` if the link does not work any more.
pub(super) async fn submit(
    context: &RequestContext,
    user: Result<CurrentUser>,
    link: &str,
) -> Result<Option<HttpResponse>> {
    let again = |status, problem| show(status, context, (link, Some(problem))).map(Some);
    let user = match user {
        Ok(user) => user,
        Err(Error::LoginRequired | Error::SessionEnded(_)) => {
            let problem = "Sign in here first. Then open the link in the mail again.";
            return again(StatusCode::UNAUTHORIZED, problem);
        }
        Err(error) => return Err(error),
    };
    let (db, letters) = (&context.sessions.db, &context.sessions.letters);
    let token = Secret::presented(link);
    match address::verify(db, letters, (&user, token), context.facts.ip.as_deref()).await? {
        Some(Verified::Yes) => Ok(Some(layout::see_other("/account?done=email"))),
        Some(Verified::Taken) => again(StatusCode::CONFLICT, "Another account has this address meanwhile."),
        Some(Verified::Gone) => Ok(None),
        Some(Verified::OfAnother) => {
            again(StatusCode::FORBIDDEN, "This link belongs to another account. Sign in with that one first.")
        }
        None => Err(context.ended_meanwhile().await?),
    }
}
