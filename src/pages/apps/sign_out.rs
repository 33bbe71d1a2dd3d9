//! `/apps/{id}/sign-out`: one button that signs out here and in every app that was opened from this browser. With `to`, the
//! person goes on to that address of the app with another account.
//!
//! Invariant: opening the page changes nothing.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use serde::Deserialize;

use crate::{
    base::error::{Error, Result},
    records::app::Apps,
    web::{
        context::RequestContext,
        forwarded::{in_query, target_at},
        layout::{self, Page},
        return_to,
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    to: Option<String>,
}

#[derive(Template)]
#[template(path = "apps/sign_out.html")]
struct SignOutPage {
    page: Page,
    token: String,
    app: String,
    /// Where the person goes on to with another account, if they want that.
    next: Option<String>,
    /// Where the person goes who stays signed in.
    back: String,
}

/// `GET /apps/{id}/sign-out`
///
/// # Errors
/// [`Error::NotFound`] if there is no such app.
pub async fn show(
    (id, query): (web::Path<String>, web::Query<Query>),
    apps: web::Data<Apps>,
    context: RequestContext,
) -> Result<HttpResponse> {
    let next = |target: &str| format!("/apps/{id}/open?to={}", in_query(target));
    if context.facts.live().is_none() {
        return Ok(layout::see_other(&match &query.to {
            Some(to) => return_to::login_address(&next(to)),
            None => return_to::signed_out(None),
        }));
    }
    let app = apps.by_id(&id).await?.ok_or(Error::NotFound)?;
    let next = query.to.as_deref().map(|to| next(&target_at(&app.origin, to)));
    context.form(|token| {
        let page = Page::new(&context.req, if next.is_some() { "Use another account" } else { "Sign out" });
        let back = format!("{}/", app.origin);
        layout::answer(StatusCode::OK, &SignOutPage { page, token, app: app.name.clone(), next, back })
    })
}
