//! The page of the link in a mail about a new device. Called by the page for links.
//!
//! Invariant: opening the page changes nothing.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;

use crate::{
    actions::links::not_me,
    base::{error::Result, secret::Secret},
    web::{
        context::RequestContext,
        layout::{self, Page},
    },
};

#[derive(Template)]
#[template(path = "login/not_me.html")]
struct NotMePage {
    page: Page,
    token: String,
    link: String,
}

pub(super) fn show(context: &RequestContext, link: &str) -> Result<HttpResponse> {
    context.form(|token| {
        let page = Page::new(&context.req, "Was this you?");
        layout::answer(StatusCode::OK, &NotMePage { page, token, link: link.to_owned() })
    })
}

/// Ends the sessions of the device, and goes on to a new password. `None` if the link does not work any more.
pub(super) async fn submit(context: &RequestContext, link: &str) -> Result<Option<HttpResponse>> {
    let made = not_me::disown(&context.sessions.db, Secret::presented(link), context.facts.ip.clone()).await?;
    Ok(made.map(|made| layout::see_other(&format!("/link/{}", made.token.expose()))))
}
