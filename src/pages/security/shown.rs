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

#[derive(Template)]
#[template(path = "security/codes.html")]
struct CodesPage {
    page: Page,
    /// Whether the account has just got its first second factor.
    is_first: bool,
    email: String,
    host: String,
    codes: Vec<String>,
    /// Where the person goes on to.
    next: String,
}

/// Shows the codes. `is_first`: they were made with the account's first second factor.
pub(super) fn codes(
    context: &RequestContext,
    user: &CurrentUser,
    codes: &[RecoveryCode],
    (is_first, next): (bool, Option<String>),
) -> Result<HttpResponse> {
    let token = forms::token(&context.site, &context.req)?;
    let template = CodesPage {
        page: Page::new(&context.req, "Your recovery codes").of(&user.account, &token, "account"),
        is_first,
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
