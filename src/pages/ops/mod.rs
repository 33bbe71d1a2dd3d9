//! The health, readiness and metrics endpoints for operators. They are routed outside the session scope, so that none
//! of them depends on a session. Called by the routes.
//!
//! Invariant: no response here is a 401 or a redirect, and only clients that may read metrics see figures.

mod live;
mod readiness;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, HeaderValue},
    },
    web::Data,
};

pub use self::{live::LiveSessions, readiness::Readiness};
use crate::{
    base::{
        error::{Error, Result},
        metrics::Present,
        output,
    },
    records::{account::hasher::Hasher, session::Sessions},
    web::{operators, site::Site},
};

const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// `GET /healthz`: 200 while the process runs, regardless of the database.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, PLAIN_TEXT)).body("ok\n")
}

/// `GET /readyz`: 200 while this node can serve requests, else 503, with the status of each component.
pub async fn readyz(req: HttpRequest, readiness: Data<Readiness>, site: Data<Site>) -> HttpResponse {
    let report = Readiness::report(&readiness).await;
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let with_figures = operators::may_look(req.peer_addr(), req.headers(), &site.proxies);
    HttpResponse::build(status).json(report.render(with_figures))
}

/// `GET /metrics`: all metrics in the Prometheus text format.
///
/// # Errors
/// [`Error::Forbidden`] for a client that may not read metrics.
pub async fn metrics(
    req: HttpRequest,
    sessions: Data<Sessions>,
    hasher: Data<Hasher>,
    live: Data<LiveSessions>,
    site: Data<Site>,
) -> Result<HttpResponse> {
    if !operators::may_look(req.peer_addr(), req.headers(), &site.proxies) {
        return Err(Error::Forbidden);
    }
    let present = Present {
        pool: sessions.db.pool(),
        cache: sessions.cache.present(),
        hashes_waiting: hasher.waiting(),
        touches_waiting: sessions.touches.len(),
        oldest_touch: sessions.touches.oldest(),
        live_sessions: LiveSessions::count(&live).await,
        log_lines_lost: output::lost_lines(),
        wrong_hosts: site.wrong_hosts.seen(),
    };
    let text = sessions.db.metrics().render(&present)?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}
