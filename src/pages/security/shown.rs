//! The page with new recovery codes. Called by the pages that make them.
//!
//! Invariant: no cache and no address has the codes. They are in one answer to a POST.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, HeaderValue},
    },
};
use askama::Template;

use super::OVERVIEW;
use crate::{
    base::{error::Result, recovery_code::RecoveryCode},
    records::session::CurrentUser,
    web::{
        context::RequestContext,
        forms,
        layout::{self, Page},
    },
};

/// Why there are new codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// The account has just got its first second factor.
    WithFactor,
    /// Like that, and the same form was sent twice.
    Again,
    /// The person asked for them.
    Anew,
}

#[derive(Template)]
#[template(path = "security/codes.html")]
struct CodesPage {
    page: Page,
    made: Made,
    email: String,
    host: String,
    codes: Vec<String>,
    /// Where the person goes on to.
    next: String,
}

/// Shows the codes, and leads on to `next`.
pub(super) fn codes(
    context: &RequestContext,
    user: &CurrentUser,
    codes: &[RecoveryCode],
    (made, next): (Made, Option<String>),
) -> Result<HttpResponse> {
    let token = forms::token(&context.site, &context.req)?;
    let template = CodesPage {
        page: Page::new(&context.req, "Your recovery codes").of(&user.account, &token, "account"),
        made,
        email: user.account.email.clone(),
        host: context.site.public.origin().to_owned(),
        codes: codes.iter().map(RecoveryCode::in_groups).collect(),
        next: next.unwrap_or_else(|| OVERVIEW.to_owned()),
    };
    layout::answer(StatusCode::OK, &template).map(unstored)
}

/// The answer, which no cache stores.
pub(super) fn unstored(mut answer: HttpResponse) -> HttpResponse {
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
