//! `/.sessile/start` on an app's host: gives the browser its pending cookie and goes on to Sessile's own origin.
//!
//! Invariant: the address that it goes on to contains only a hash of the cookie. A browser that comes back without the
//! app's cookie again and again gets an explanation.

use actix_web::{HttpResponse, http::StatusCode, web};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{MOST_ROUNDS, arrival::Arrival};
use crate::{
    base::{
        error::{Error, Result},
        secret::Secret,
    },
    web::{
        app_cookies::Pending,
        app_host::{AppHostPage, Link},
        forwarded::{in_query, target_at},
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    to: String,
}

/// `GET /.sessile/start`
pub async fn show(query: web::Query<Query>, arrival: Arrival) -> Result<HttpResponse> {
    let target = target_at(&arrival.app.origin, &query.to);
    let headers = arrival.req.headers();
    let pending = match arrival.cookies.pending(headers) {
        Some(pending) if pending.rounds > 0 && arrival.is_open().await? => Pending { rounds: 0, ..pending },
        // A second tab uses the same cookie, so that neither makes the other's code worthless.
        Some(pending) => pending,
        None => Pending { secret: Secret::random_short()?, rounds: 0 },
    };
    if pending.rounds >= MOST_ROUNDS {
        return without_cookies(&arrival, &pending, &target);
    }
    let hash = BASE64_URL_SAFE_NO_PAD.encode(pending.secret.hash());
    let public = arrival.site.public.origin();
    let to = format!("{public}/apps/{}/open?n={hash}&to={}", arrival.app.id, in_query(&target));
    let mut answer = AppHostPage::going_on(to).answer(StatusCode::OK, &arrival.site.app_face)?;
    if arrival.is_get() {
        answer.add_cookie(&arrival.cookies.pending_cookie(&pending)).map_err(Error::bug)?;
    }
    Ok(answer)
}

/// Explains why the browser does not get in, and lets it try once more.
fn without_cookies(arrival: &Arrival, pending: &Pending, target: &str) -> Result<HttpResponse> {
    let words = [
        "Your browser does not keep the cookie that this site needs to know you. Allow cookies for this site, or leave \
         private browsing, then try again.",
    ];
    let again = format!("{}/.sessile/start?to={}", arrival.app.origin, in_query(target));
    let page = AppHostPage::new("Signing in did not work", &words).link(Link::to(again, "Try again"));
    let mut answer = page.answer(StatusCode::BAD_REQUEST, &arrival.site.app_face)?;
    if arrival.is_get() {
        let pending = Pending { rounds: 0, ..pending.clone() };
        answer.add_cookie(&arrival.cookies.pending_cookie(&pending)).map_err(Error::bug)?;
    }
    Ok(answer)
}
