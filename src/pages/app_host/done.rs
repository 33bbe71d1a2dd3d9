//! `/.sessile/done` on an app's host: spends the code, gives the browser the app's cookie and goes on to where the person
//! wanted to go.
//!
//! Invariant: a code is spent only by a GET request of the browser that it was made for. A bad code never redirects, so
//! nothing can go round in circles.

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use super::arrival::Arrival;
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
    let finished = match (code, &pending) {
        (Some(code), Some(pending)) => {
            finish(&arrival.sessions.db, &arrival.app, code, pending.secret.hash(), arrival.ip()).await?
        }
        _ => Finished::Refused(None),
    };
    match finished {
        Finished::Opened { key, target } => opened(&arrival, &key, pending, &target),
        Finished::Refused(target) => refused(&arrival, pending.is_some(), target).await,
    }
}

fn opened(arrival: &Arrival, key: &GrantKey, pending: Option<Pending>, target: &str) -> Result<HttpResponse> {
    let mut answer = AppHostPage::going_on(address(arrival, target)).answer(StatusCode::OK)?;
    answer.add_cookie(&arrival.cookies.app_cookie(key, &arrival.site.keys)?).map_err(Error::bug)?;
    if let Some(pending) = pending {
        let pending = Pending { rounds: pending.rounds.saturating_add(1), ..pending };
        answer.add_cookie(&arrival.cookies.pending_cookie(&pending)).map_err(Error::bug)?;
    }
    Ok(answer)
}

async fn refused(arrival: &Arrival, has_pending: bool, target: Option<String>) -> Result<HttpResponse> {
    let target = target.unwrap_or_else(|| "/".to_owned());
    if let Some(key) = arrival.cookies.key(arrival.req.headers(), &arrival.site.keys)
        && let Some(granted) = arrival.sessions.find_grant(&key).await?
        && granted.app_id == arrival.app.id
    {
        return AppHostPage::going_on(address(arrival, &target)).answer(StatusCode::OK);
    }
    let words = match has_pending {
        true => "This link has been used already, or was open for too long. Nothing is lost: sign in once more.",
        false => {
            "This link belongs to another browser, or your browser does not keep cookies. Allow cookies for this site, \
             then sign in once more."
        }
    };
    let again = format!("{}/.sessile/start?to={}", arrival.app.origin, in_query(&target));
    AppHostPage::new("This link does not work any more", &[words])
        .link(Link::to(again, "Sign in"))
        .answer(StatusCode::GONE)
}

fn address(arrival: &Arrival, target: &str) -> String {
    let origin = &arrival.app.origin;
    format!("{origin}{}", target_at(origin, target))
}
