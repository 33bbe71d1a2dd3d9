//! Signing out with a form, and the steps shared by all ways of signing out. Called by the routes and by the API of
//! this folder.
//!
//! Invariant: a person who signs out is never told that the session has ended while it is still live under a newer key.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;
use serde::Deserialize;

use crate::{
    actions::sign_out::sign_out,
    base::error::{Error, Result},
    records::session::{
        Sessions,
        request::{Presented, RequestFacts},
    },
    web::{
        context::RequestContext,
        forms::Form,
        layout::{self, Page},
        return_to,
        signed_out::clear_cache,
    },
};

#[derive(Template)]
#[template(path = "login/sign_out.html")]
struct SignOutPage {
    page: Page,
    token: String,
    next: Option<String>,
}

/// The fields of the form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    /// Where a person goes on to with another account.
    next: String,
}

/// `POST /logout`
pub async fn submit(sent: Form<Fields>, context: RequestContext) -> Result<HttpResponse> {
    let next = return_to::own_address(&context.site.public, &sent.fields.next);
    let mut answer = layout::see_other(&return_to::signed_out(next.as_deref()));
    if context.facts.live().is_none() {
        // A key from before a rotation also ends its session. Otherwise the session would stay live under a newer key
        // while the person is told that it has ended.
        end_this(&context.facts, &context.sessions).await?;
        forget_cookie(&context, &mut answer)?;
        return Ok(answer);
    }
    if !sent.is_fresh {
        return context.form(|token| {
            let page = Page::new(&context.req, "Sign out");
            layout::answer(StatusCode::UNPROCESSABLE_ENTITY, &SignOutPage { page, token, next })
        });
    }
    let ended = end_this(&context.facts, &context.sessions).await?;
    context.goodbye(ended);
    clear_cache(&mut answer);
    Ok(answer)
}

/// Ends the session of every key in this request, including keys from before a rotation. Returns whether any was live.
/// If another site planted a second cookie, the person's own key cannot be told apart, so all sessions are ended.
///
/// # Errors
/// [`Error::Invalid`] if the request has too many keys.
pub(super) async fn end_this(facts: &RequestFacts, sessions: &Sessions) -> Result<bool> {
    sign_out(sessions, facts.keys_to_end()?, facts.ip.as_deref()).await
}

/// Removes the cookie of an ended session, which otherwise stays until the next sign-in or sign-out.
pub(super) fn forget_cookie(context: &RequestContext, answer: &mut HttpResponse) -> Result<()> {
    if matches!(context.facts.presented, Presented::Nothing) {
        return Ok(());
    }
    clear_cache(answer);
    let cookies = &context.site.cookies;
    answer.add_cookie(&cookies.removal(&cookies.session)).map_err(Error::bug)
}
