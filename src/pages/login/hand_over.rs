//! The page of a link that hands a sign-in over to this browser. Called by the page for links.
//!
//! Invariant: opening the page changes nothing.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;

use super::visit::{self, let_in};
use crate::{
    actions::links::hand_over::{self, Stage, Went},
    base::{error::Result, secret::Secret},
    web::{
        context::RequestContext,
        layout::{self, Page},
        return_to,
    },
};

#[derive(Template)]
#[template(path = "login/hand_over.html")]
struct HandOverPage {
    page: Page,
    token: String,
    link: String,
    stage: Stage,
}

/// Shows where the hand-over stands. `None` if the link does not work for this browser.
pub(super) async fn show(context: &RequestContext, token: &str) -> Result<Option<HttpResponse>> {
    let stage = hand_over::look_up(&context.sessions.db, &Secret::presented(token), browser(context)).await?;
    draw(context, token, stage)
}

/// Claims the hand-over, or signs in. `None` if the link does not work for this browser.
pub(super) async fn submit(context: &RequestContext, token: &str) -> Result<Option<HttpResponse>> {
    let Some(browser) = browser(context) else { return show(context, token).await };
    let went = hand_over::go_on(&context.sessions, Secret::presented(token), browser, visit::of(context)).await?;
    match went {
        Went::In(welcome) => let_in(context, &welcome, layout::see_other(return_to::HOME)).map(Some),
        // The page is opened again, so that it can refresh itself.
        Went::On(Stage::Claimed(_) | Stage::Confirmed) => Ok(Some(layout::see_other(context.req.path()))),
        Went::On(stage) => draw(context, token, stage),
    }
}

/// A secret that only this browser has.
fn browser(context: &RequestContext) -> Option<Secret> {
    let visitor = context.site.cookies.visitor(context.req.headers());
    visitor.or_else(|| context.facts.presented_key().map(|key| key.secret().clone()))
}

fn draw(context: &RequestContext, link: &str, stage: Stage) -> Result<Option<HttpResponse>> {
    if stage == Stage::Gone {
        return Ok(None);
    }
    let answer = context.form(|token| {
        let page = Page::new(&context.req, "Sign in on this device");
        layout::answer(StatusCode::OK, &HandOverPage { page, token, link: link.to_owned(), stage })
    });
    answer.map(Some)
}
