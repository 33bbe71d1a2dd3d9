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
        context::{Desk, clear_cache},
        forms::Form,
        layout::{self, Page},
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
pub async fn submit(sent: Form<NoFields>, desk: Desk) -> Result<HttpResponse> {
    let mut answer = layout::see_other("/login");
    if desk.facts.live().is_none() {
        // With a key from before a rotation the session ends too: whoever asks for that is not told that it has ended
        // while it goes on under a newer key.
        end_this(&desk.facts, &desk.sessions).await?;
        forget_cookie(&desk, &mut answer)?;
        return Ok(answer);
    }
    if !sent.is_fresh {
        return desk.form(|token| {
            let page = Page::new(&desk.req, "Sign out");
            layout::answer(StatusCode::UNPROCESSABLE_ENTITY, &SignOutPage { page, token })
        });
    }
    let ended = end_this(&desk.facts, &desk.sessions).await?;
    desk.goodbye(ended);
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
pub(super) fn forget_cookie(desk: &Desk, answer: &mut HttpResponse) -> Result<()> {
    if matches!(desk.facts.presented, Presented::Nothing) {
        return Ok(());
    }
    clear_cache(answer);
    let cookies = &desk.site.cookies;
    answer.add_cookie(&cookies.removal(&cookies.session)).map_err(Error::bug)
}
