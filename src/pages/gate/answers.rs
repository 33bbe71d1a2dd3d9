//! The answers of the gate. The outermost layer adds `Cache-Control: no-store`, and what an answer depends on
//! (`web/headers.rs`).
//!
//! Invariant: no answer sets a cookie.

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
    base::error::{Error, Result},
    records::{
        account::Account,
        app::{App, Identity},
    },
    web::{
        app_face::Face,
        app_host::{AppHostPage, Link},
        forwarded::in_query,
        site::Site,
    },
};

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
    Ok(answer)
}

/// A navigation goes to the sign-in; everything else is told that nobody is signed in.
pub fn refused(app: &App, asked: &Asked, face: &Face) -> Result<HttpResponse> {
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
    page.answer(StatusCode::UNAUTHORIZED, face)
}

/// `account` is signed in, but the app is not for them. They can go on to the app with another account.
pub fn not_admitted(app: &App, asked: &Asked, account: &Account, site: &Site) -> Result<HttpResponse> {
    if !asked.is_for_people {
        return Err(Error::Forbidden);
    }
    let who = format!("You are signed in as {} ({}).", account.name, account.email);
    let words = format!("This account has no access to {}. If you need it, ask the administrator.", app.name);
    let target = if asked.is_navigation { asked.target(&app.origin) } else { "/".to_owned() };
    let other = format!("{}/.sessile/sign-out?to={}", app.origin, in_query(&target));
    AppHostPage::new("You don't have access", &[&who, &words])
        .link(Link::to(format!("{}/dashboard", site.public.origin()), "Go to the start page"))
        .link(Link::to(other, "Use another account"))
        .answer(StatusCode::FORBIDDEN, &site.app_face)
}

/// The app is disabled.
pub fn closed(app: &App, asked: &Asked, face: &Face) -> Result<HttpResponse> {
    if !asked.is_for_people {
        return Err(Error::Forbidden);
    }
    let heading = format!("{} is closed at the moment", app.name);
    AppHostPage::new(&heading, &["The administrator has disabled it. Please try again later."])
        .answer(StatusCode::FORBIDDEN, face)
}

/// An absolute redirect: some proxies would resolve a path against the address of the gate.
pub fn sent_to_start(app: &App, asked: &Asked) -> Result<HttpResponse> {
    let to = HeaderValue::try_from(start(app, asked)).map_err(Error::bug)?;
    Ok(HttpResponse::SeeOther().insert_header((header::LOCATION, to)).finish())
}

fn start(app: &App, asked: &Asked) -> String {
    let target = asked.target(&app.origin);
    format!("{}/.sessile/start?to={}", app.origin, in_query(&target))
}
