//! Recovers the session cookie when a person follows a link from another site. Browsers omit a SameSite=Strict cookie
//! from such a navigation, so the answer is a small page that opens the same address again, this time from our own
//! origin. Called by the outermost layer.
//!
//! Invariant: a navigation bounces at most once; a short-lived cookie marks that it has.

use actix_web::{
    HttpResponse,
    dev::ServiceRequest,
    http::{
        Method, StatusCode,
        header::{HeaderName, HeaderValue},
    },
};
use askama::Template;

use crate::{
    base::error::{Error, Result},
    records::session::request::Presented,
    web::{
        header_names::{SEC_FETCH_DEST, SEC_FETCH_MODE, SEC_FETCH_SITE},
        layout::{self, Page},
        route::{Kind, Route},
        site::Site,
    },
};

/// Whether a navigation may have lost its session cookie to SameSite=Strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bounce {
    /// The navigation came from another site and has not bounced yet.
    Wanted,
    /// The navigation has just bounced. The answer removes the mark.
    Done,
    /// The request came from our own pages or is not a navigation.
    No,
}

impl Bounce {
    pub(super) fn decide(req: &ServiceRequest, site: &Site, route: &Route) -> Self {
        if route.kind.is_at_app() {
            return Self::No;
        }
        if site.cookies.has_bounced(req.headers()) {
            return Self::Done;
        }
        if !(is_navigation_from_elsewhere(req) && may_bounce(route, req.path())) {
            return Self::No;
        }
        match site.cookies.sent_session(req.headers(), &site.keys).presented {
            Presented::Nothing => Self::Wanted,
            Presented::Foreign | Presented::Key(_) => Self::No,
        }
    }
}

fn is_navigation_from_elsewhere(req: &ServiceRequest) -> bool {
    let fetch = |name: HeaderName| req.headers().get(name).map(HeaderValue::as_bytes);
    req.method() == Method::GET
        && matches!(fetch(SEC_FETCH_SITE), Some(b"cross-site" | b"same-site"))
        && fetch(SEC_FETCH_MODE) == Some(b"navigate")
        && fetch(SEC_FETCH_DEST) == Some(b"document")
}

/// Whether the page at an address may differ for signed-in people, and whether a page may repeat its address.
fn may_bounce(route: &Route, path: &str) -> bool {
    // A path that begins with two slashes would name another host in a link.
    let names_a_host = matches!(path.as_bytes().get(1), Some(b'/' | b'\\'));
    route.kind == Kind::Page && !route.carries_secret && !names_a_host
}

#[derive(Template)]
#[template(path = "parts/going_on.html")]
struct BouncePage {
    page: Page,
    to: String,
}

/// The page that opens `to` again, with the cookie that marks the bounce.
pub(super) fn page(to: &str, site: &Site) -> Result<HttpResponse> {
    let template = BouncePage { page: Page::bare(site.brand.clone(), "One moment"), to: to.to_owned() };
    let mut answer = layout::answer(StatusCode::OK, &template)?;
    answer.add_cookie(&site.cookies.bounce_cookie()).map_err(Error::bug)?;
    Ok(answer)
}
