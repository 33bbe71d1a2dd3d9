//! `/apps/{id}/sign-out`: one button that signs out here and in every app that was opened from this browser.
//!
//! Invariant: opening the page changes nothing.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;

use crate::{
    base::error::{Error, Result},
    records::app::Apps,
    web::{
        context::RequestContext,
        layout::{self, Page},
    },
};

#[derive(Template)]
#[template(path = "apps/sign_out.html")]
struct SignOutPage {
    page: Page,
    token: String,
    app: String,
    /// Where the person goes who stays signed in.
    back: String,
}

/// `GET /apps/{id}/sign-out`
///
/// # Errors
/// [`Error::NotFound`] if there is no such app.
pub async fn show(id: web::Path<String>, apps: web::Data<Apps>, context: RequestContext) -> Result<HttpResponse> {
    if context.facts.live().is_none() {
        return Ok(layout::see_other("/login?done=signed-out"));
    }
    let app = apps.by_id(&id).await?.ok_or(Error::NotFound)?;
    context.form(|token| {
        let page = Page::new(&context.req, "Sign out");
        let back = format!("{}/", app.origin);
        layout::answer(StatusCode::OK, &SignOutPage { page, token, app: app.name.clone(), back })
    })
}
