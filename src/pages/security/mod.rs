//! The pages and the API on which people manage their second factor: `/account/security` and the pages below it, and
//! `/api/second-factor`. Called by the routes.
//!
//! Invariant: a secret is shown only after a recent confirmation, with a second factor if the account has one. Recovery codes
//! are shown once, in the answer to the request that made them.

pub mod api;
pub mod app;
pub mod overview;
pub mod recovery;
mod shown;

use actix_web::HttpResponse;

use crate::web::{context::RequestContext, layout, return_to};

/// The page that shows what the account has.
const OVERVIEW: &str = "/account/security";
/// The page that asks for the password and the second factor.
const CONFIRM: &str = "/confirm";
/// What a form says whose token is no longer valid.
const STALE: &str = "This page had been open for a while. Please try again.";

/// Leads to the confirmation, and back to `page`.
fn confirm_first(page: &str) -> HttpResponse {
    layout::see_other(&return_to::second_confirmation(CONFIRM, page))
}

/// The own address in `next`, if it is one. The person goes on there once they have a second factor.
fn next_of(context: &RequestContext, next: &str) -> Option<String> {
    return_to::own_address(&context.site.public, next)
}

/// The page with `next` in its query.
fn with_next(page: &str, next: Option<&str>) -> String {
    next.map_or_else(|| page.to_owned(), |next| return_to::address_with_next(page, next))
}
