//! `/.sessile/done` on an app's host: spends the code, gives the browser the app's cookie and goes on to where the person
//! wanted to go.
//!
//! Invariant: a code is spent only by a GET request of the browser that it was made for. A bad code never redirects, and
//! rounds are counted, so nothing can go round in circles.

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use super::{MOST_ROUNDS, arrival::Arrival};
use crate::{
    actions::apps::open::{Finished, finish},
    base::error::{Error, Result},
    records::session::grants::{Code, GrantKey},
    web::{
        app_cookies::Pending,
        app_host::{AppHostPage, Link},
        forwarded::{in_query, target_at},
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    code: String,
}

/// `GET /.sessile/done`
pub async fn show(query: web::Query<Query>, arrival: Arrival) -> Result<HttpResponse> {
    if !arrival.is_get() {
        return Ok(HttpResponse::Ok().finish());
    }
    let pending = arrival.cookies.pending(arrival.req.headers());
    // A made-up code costs no query.
    let code = arrival.site.keys.sealed_opening(&query.code).and_then(Code::parse);
    let pending_hash = pending.as_ref().map(|pending| pending.secret.hash());
    let finished = match code {
        Some(code) => finish(&arrival.sessions.db, &arrival.app, code, pending_hash, arrival.ip()).await?,
        None => Finished::Refused { target: None, is_for_other: false },
    };
    match finished {
        Finished::Opened { key, target } => opened(&arrival, &key, pending, &target),
        Finished::Refused { target, is_for_other } => {
            let pending = pending.map(|pending| (pending, is_for_other));
            refused(&arrival, pending, &target.unwrap_or_else(|| "/".to_owned())).await
        }
    }
}

fn opened(arrival: &Arrival, key: &GrantKey, pending: Option<Pending>, target: &str) -> Result<HttpResponse> {
    let face = &arrival.site.app_face;
    let mut answer = AppHostPage::going_on(address(arrival, target)).answer(StatusCode::OK, face)?;
    answer.add_cookie(&arrival.cookies.app_cookie(key, &arrival.site.keys)?).map_err(Error::bug)?;
    if let Some(pending) = pending {
        let pending = Pending { rounds: pending.rounds.saturating_add(1), ..pending };
        answer.add_cookie(&arrival.cookies.pending_cookie(&pending)).map_err(Error::bug)?;
    }
    Ok(answer)
}

/// `pending` comes with whether the code was made for another one.
async fn refused(arrival: &Arrival, pending: Option<(Pending, bool)>, target: &str) -> Result<HttpResponse> {
    let face = &arrival.site.app_face;
    if arrival.is_open().await? {
        return AppHostPage::going_on(address(arrival, target)).answer(StatusCode::OK, face);
    }
    let again = format!("{}/.sessile/start?to={}", arrival.app.origin, in_query(target));
    let page =
        |words: &str| AppHostPage::new("Please sign in once more", &[words]).link(Link::to(again.clone(), "Sign in"));
    match pending {
        // Tabs that opened the app at the same moment replaced each other's cookie. Another round of this browser's own
        // session brings each to its address.
        Some((pending, true)) if pending.rounds < MOST_ROUNDS => {
            let mut answer = AppHostPage::going_on(again).answer(StatusCode::GONE, face)?;
            let pending = Pending { rounds: pending.rounds.saturating_add(1), ..pending };
            answer.add_cookie(&arrival.cookies.pending_cookie(&pending)).map_err(Error::bug)?;
            Ok(answer)
        }
        Some(_) => page("This link has been used already, or was open for too long. Nothing is lost.")
            .answer(StatusCode::GONE, face),
        None => page(
            "The sign-in was open for too long, or your browser does not keep cookies. Allow cookies for this site, then \
             sign in once more.",
        )
        .answer(StatusCode::GONE, face),
    }
}

fn address(arrival: &Arrival, target: &str) -> String {
    let origin = &arrival.app.origin;
    format!("{origin}{}", target_at(origin, target))
}
