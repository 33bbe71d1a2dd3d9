//! What operators and their programs ask: whether the process lives, whether it can do its work, what it has done.
//! Outside the scope of sessions, so that none of it depends on one.
//!
//! Invariant: no answer here is a 401 or a redirect, and figures are only for who may read metrics.

mod live;
mod readiness;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};

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

/// `GET /healthz`: 200 while the process lives, whatever the database does.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// `GET /readyz`: 200 while requests can be answered, 503 while not, with what was found for each component.
pub async fn readyz(req: HttpRequest, readiness: Data<Readiness>, site: Data<Site>) -> HttpResponse {
    let report = Readiness::report(&readiness).await;
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let with_figures = operators::may_look(req.peer_addr(), req.headers(), &site.proxies);
    HttpResponse::build(status).json(report.render(with_figures))
}

/// `GET /metrics`: everything that is counted, in the text format of Prometheus.
///
/// # Errors
/// [`Error::Forbidden`] for who may not look.
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
