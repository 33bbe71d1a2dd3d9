//! The page that shows a new link, as text and as a QR code. Called by the forms of this folder.
//!
//! Invariant: no cache stores the page, as no answer without its own rule is stored.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;

use crate::{
    base::error::Result,
    records::{link::Made, session::CurrentUser},
    web::{
        confirmed::of_session,
        context::RequestContext,
        forms,
        layout::{self, Page},
        one_time_link::{self, ShownLink},
    },
};

/// The path of the page for links, up to the token.
pub(super) const LINK: &str = "/link/";

/// What the page says about the link.
pub(super) struct Words {
    pub heading: String,
    pub lead: &'static str,
    /// Above the link: "Link for kim@example.com".
    pub label: String,
    /// Where "Done" leads.
    pub back: String,
    pub session_id: Option<String>,
}

#[derive(Template)]
#[template(path = "invitations/shown.html")]
struct ShownPage {
    page: Page,
    heading: String,
    lead: &'static str,
    label: String,
    back: String,
    is_mailed: bool,
    shown: ShownLink,
}

pub(super) fn answer(
    (context, user): (&RequestContext, &CurrentUser),
    made: &Made,
    words: Words,
) -> Result<HttpResponse> {
    let link = one_time_link::address(context.site.public.origin(), made, LINK);
    let token = forms::token(&context.site, &context.req)?;
    let page = Page::new(&context.req, &words.heading).of(&user.account, &token, "people");
    let Words { heading, lead, label, back, session_id } = words;
    let shown = ShownLink::new(link, made, user.now)?;
    let is_mailed = context.sessions.letters.is_on();
    let page = of_session(page, session_id);
    layout::answer(StatusCode::OK, &ShownPage { page, heading, lead, label, back, is_mailed, shown })
}
