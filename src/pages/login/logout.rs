//! Signing out by a form, and what every way of signing out shares.

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
        signed_out::clear_cache,
    },
};

#[derive(Template)]
#[template(path = "login/sign_out.html")]
struct SignOutPage {
    page: Page,
    token: String,
}

/// A form without fields of its own.
#[derive(Debug, Deserialize)]
pub struct NoFields {}

/// `POST /logout`
pub async fn submit(sent: Form<NoFields>, context: RequestContext) -> Result<HttpResponse> {
    let mut answer = layout::see_other("/login");
    if context.facts.live().is_none() {
        // With a key from before a rotation the session ends too: whoever asks for that is not told that it has ended
        // while it goes on under a newer key.
        end_this(&context.facts, &context.sessions).await?;
        forget_cookie(&context, &mut answer)?;
        return Ok(answer);
    }
    if !sent.is_fresh {
        return context.form(|token| {
            let page = Page::new(&context.req, "Sign out");
            layout::answer(StatusCode::UNPROCESSABLE_ENTITY, &SignOutPage { page, token })
        });
    }
    let ended = end_this(&context.facts, &context.sessions).await?;
    context.goodbye(ended);
    clear_cache(&mut answer);
    Ok(answer)
}

/// Ends the session of every key in this request, also by a key from before a rotation; whether any lived. Where a second
/// cookie was planted, nothing tells which of the keys is the person's own, so all are ended.
///
/// # Errors
/// When there are too many keys.
pub(super) async fn end_this(facts: &RequestFacts, sessions: &Sessions) -> Result<bool> {
    sign_out(sessions, facts.keys_to_end()?, facts.ip.as_deref()).await
}

/// A cookie of a session that has ended stays until somebody signs in or out.
pub(super) fn forget_cookie(context: &RequestContext, answer: &mut HttpResponse) -> Result<()> {
    if matches!(context.facts.presented, Presented::Nothing) {
        return Ok(());
    }
    clear_cache(answer);
    let cookies = &context.site.cookies;
    answer.add_cookie(&cookies.removal(&cookies.session)).map_err(Error::bug)
}
