//! The answers of the gate.
//!
//! Invariant: no answer may be stored, and none sets a cookie.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};

use super::{
    asked::Asked,
    identity::{Identification, empty},
};
use crate::{
    base::{
        error::{Error, Result},
        settings::PublicUrl,
    },
    records::app::{App, Identity},
    web::{
        app_host::{AppHostPage, Link},
        forwarded::in_query,
    },
};

/// What the answers depend on, besides the address.
const VARY: HeaderValue = HeaderValue::from_static(
    "Cookie, Origin, Accept, Sec-Fetch-Site, Sec-Fetch-Mode, Sec-Fetch-Dest, X-Forwarded-Host, X-Forwarded-Method, \
     X-Forwarded-Uri",
);

/// The request may go on. The set of headers is complete, so that the proxy replaces each that a client made up.
pub fn passed(identity: Identity, person: Option<&Identification>) -> Result<HttpResponse> {
    let mut answer = HttpResponse::Ok().finish();
    let headers = match person {
        Some(person) => person.headers(identity),
        None => empty(identity),
    };
    for (name, value) in headers {
        let value = HeaderValue::try_from(value).map_err(Error::bug)?;
        answer.headers_mut().insert(HeaderName::from_static(name), value);
    }
    Ok(unstored(answer))
}

/// A navigation goes to the sign-in; everything else is told that nobody is signed in.
pub fn refused(app: &App, asked: &Asked) -> Result<HttpResponse> {
    if asked.is_navigation {
        return sent_to_start(app, asked);
    }
    if !asked.is_for_people {
        return Err(Error::LoginRequired);
    }
    let page = match asked.is_frame() {
        true => AppHostPage::new("You are signed out", &["Sign in again to see this part of the page."])
            .in_frame()
            .link(Link::to(start(app, asked), "Sign in")),
        false => AppHostPage::new(
            "You are signed out",
            &[
                "What you sent was not received, but nothing is lost: sign in again in the new tab, then come back here, \
                 reload this page and confirm that you want to send it again.",
            ],
        )
        .link(Link { in_new_tab: true, ..Link::to(format!("{}/.sessile/start?to=%2F", app.origin), "Sign in") }),
    };
    page.answer(StatusCode::UNAUTHORIZED).map(unstored)
}

/// The person is signed in, but the app is not for them.
pub fn not_admitted(app: &App, asked: &Asked, public: &PublicUrl) -> Result<HttpResponse> {
    if !asked.is_for_people {
        return Err(Error::Forbidden);
    }
    let words = format!("Your account has no access to {}. If you need it, ask the administrator.", app.name);
    AppHostPage::new("You don't have access", &[&words])
        .link(Link::to(format!("{}/dashboard", public.origin()), "Go to the start page"))
        .link(Link::to(format!("{}/.sessile/sign-out", app.origin), "Use another account"))
        .answer(StatusCode::FORBIDDEN)
        .map(unstored)
}

/// The app is disabled.
pub fn closed(app: &App, asked: &Asked) -> Result<HttpResponse> {
    if !asked.is_for_people {
        return Err(Error::Forbidden);
    }
    let heading = format!("{} is closed at the moment", app.name);
    AppHostPage::new(&heading, &["The administrator has disabled it. Please try again later."])
        .answer(StatusCode::FORBIDDEN)
        .map(unstored)
}

/// An absolute redirect: some proxies would resolve a path against the address of the gate.
pub fn sent_to_start(app: &App, asked: &Asked) -> Result<HttpResponse> {
    let to = HeaderValue::try_from(start(app, asked)).map_err(Error::bug)?;
    Ok(unstored(HttpResponse::SeeOther().insert_header((header::LOCATION, to)).finish()))
}

fn start(app: &App, asked: &Asked) -> String {
    let target = asked.target(&app.origin);
    format!("{}/.sessile/start?to={}", app.origin, in_query(&target))
}

fn unstored(mut answer: HttpResponse) -> HttpResponse {
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert(header::VARY, VARY);
    answer
}
