//! The answer that shows the secrets of an app, once: after it was added, and after one was replaced. Called by the pages
//! for admins.
//!
//! Invariant: the answer may not be stored, and its address shows no secret when it is opened again.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, HeaderValue},
    },
};
use askama::Template;

use super::set_up::{Places, SetUp};
use crate::{
    base::{error::Result, secret::Secret},
    records::{app::App, session::CurrentUser},
    web::{
        confirmed::of_session,
        context::RequestContext,
        forms,
        layout::{self, Page},
    },
};

#[derive(Template)]
#[template(path = "apps/secrets.html")]
pub(super) struct SecretsPage {
    page: Page,
    id: String,
    name: String,
    shown: Shown,
    /// Where there is a new gate token, the configurations that hold it.
    set_up: Option<SetUp>,
}

/// The secrets to show.
pub(super) struct Shown {
    pub gate_token: Option<Secret>,
    pub secret: Option<Secret>,
    pub is_new: bool,
}

impl SecretsPage {
    pub fn answer(
        context: &RequestContext,
        user: &CurrentUser,
        app: &App,
        shown: Shown,
        (places, session_id): (Places, Option<String>),
    ) -> Result<HttpResponse> {
        let token = forms::token(&context.site, &context.req)?;
        let page = Page::new(&context.req, &app.name).of(&user.account, &token, "apps");
        let gate_token = shown.gate_token.as_ref();
        let template = Self {
            page: of_session(page, session_id),
            id: app.id.clone(),
            name: app.name.clone(),
            set_up: gate_token.map(|token| SetUp::new(&context.site, app, places, Some(token), user.now)),
            shown,
        };
        let mut answer = layout::answer(StatusCode::OK, &template)?;
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(answer)
    }
}
