//! The outermost layer: it names each request, renders every error as a problem document (RFC 9457) or as a page,
//! secures the headers of every answer, and writes the one line that the log has of it.
//!
//! Invariant: an answer that says a session has ended, or that something is away, never carries the session cookie.

use std::time::Instant as Stopwatch;

use actix_web::{
    HttpMessage as _, HttpRequest, HttpResponse, ResponseError as _,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{ConnectionType, StatusCode, header},
    middleware::Next,
    web,
};
use askama::Template;
use tracing::Instrument as _;

use crate::web::{errors::ErrorPage, form_again::FormAgain};
use crate::{
    base::{
        error::{Error, Result},
        metrics::Metrics,
        secret, text,
    },
    records::session::{
        Sessions,
        request::{Presented, RequestFacts},
    },
    web::{
        answers::Recipient,
        compress,
        connections::Connection,
        cookies::CookieNames,
        headers,
        layout::{self, Page},
        limits,
        opened::{self, Opened},
        proxies::{self, Client},
        request_facts::{FactsSlot, RequestId},
        return_to,
        sent_form::SentForm,
        site::Site,
    },
};

/// Characters of a path in the log: whoever asks for a longer one fills no disk with it.
const LONGEST_PATH: usize = 256;

/// The layer.
///
/// # Errors
/// Only as actix wants it: the error holds the whole answer.
pub async fn answer(
    mut req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let site = req.app_data::<web::Data<Site>>().cloned().ok_or_else(|| Error::bug("no site in this application"))?;
    headers::detach(req.headers_mut());
    let under_way = req.conn_data::<Connection>().map(Connection::begin);
    let client = req.peer_addr().map(|peer| proxies::resolve(peer.ip(), req.headers(), &site.proxies));
    let mut asked = Asked::new(&req, &site, client)?;
    req.extensions_mut().insert(RequestId(asked.id.clone()));
    req.extensions_mut().insert(asked.facts.clone());
    if let Some(client) = client {
        req.extensions_mut().insert(client);
    }
    // At the level of errors, so that lines of every level carry the request's name.
    let span = tracing::error_span!("request", id = %asked.id, method = %asked.method, path = %text::shortened(&asked.path, LONGEST_PATH));
    span.in_scope(|| {
        if !is_of_operations(&asked.path) && opened::judge(req.request(), &site) == Opened::BehindWrongHost {
            site.wrong_hosts.note(req.request(), &site);
        }
    });
    async {
        let request = match client.map(|client| site.connections.request(client.ip)).transpose() {
            Ok(request) => request,
            Err(error) => return Ok(asked.refuse(req, &error)),
        };
        if let Err(error) = limits::admit(&mut req, site.limits).await {
            return Ok(asked.refuse(req, &error));
        }
        if asked.over_http {
            let https = asked.redirect_to_https(&site);
            return Ok(req.into_response(asked.finish(https, &site, None)));
        }
        if asked.bounces == Bounce::Wanted {
            let once_more = bounce_page(&asked.path_and_query, &site)?;
            return Ok(req.into_response(asked.finish(once_more, &site, None)));
        }
        if !asked.is_api() {
            asked.sent = SentForm::keep(&mut req, &site);
        }
        match next.call(req).await {
            Ok(answered) => {
                let (req, answer) = answered.map_into_boxed_body().into_parts();
                let answer = asked.explain(&req, answer).await;
                let to = Recipient::of(&req, under_way, request);
                Ok(ServiceResponse::new(req, asked.finish(answer, &site, Some(to))))
            }
            Err(error) => {
                let answer = asked.finish(asked.render(&error).await, &site, None);
                Err(InternalError::from_response(error, answer).into())
            }
        }
    }
    .instrument(span)
    .await
}

/// What the layer must know of a request after it is gone.
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) path_and_query: String,
    pub(super) facts: FactsSlot,
    pub(super) site: web::Data<Site>,
    pub(super) route: Option<String>,
    pub(super) is_get: bool,
    pub(super) over_http: bool,
    pub(super) may_compress: bool,
    bounces: Bounce,
    /// The form that it brought.
    pub(super) sent: Option<SentForm>,
    pub(super) started: Stopwatch,
    pub(super) metrics: Metrics,
}

/// Whether a navigation without its session cookie may have lost it to SameSite=Strict. If so it gets one small page
/// that opens the same address again: a navigation from our own page, which brings the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bounce {
    /// It came from elsewhere and has not bounced: once more from our own page.
    Wanted,
    /// It bounced just now: the mark is taken back.
    Done,
    /// It came from our own pages, or is no navigation.
    No,
}

impl Asked {
    fn new(req: &ServiceRequest, site: &web::Data<Site>, client: Option<Client>) -> Result<Self> {
        let sessions =
            req.app_data::<web::Data<Sessions>>().ok_or_else(|| Error::bug("no sessions in this application"))?;
        let proxied_over_http = client.is_some_and(|client| client.proxied_over_http);
        let path = req.path().to_owned();
        Ok(Self {
            id: secret::random_name("req_")?,
            facts: FactsSlot::default(),
            site: site.clone(),
            method: req.method().to_string(),
            path_and_query: own_part(req.uri()),
            route: req.match_pattern(),
            is_get: req.method().is_safe(),
            over_http: site.public.is_https() && proxied_over_http && !is_of_operations(&path),
            bounces: bounce(req, site),
            may_compress: compress::may(req),
            sent: None,
            started: Stopwatch::now(),
            metrics: sessions.db.metrics().clone(),
            path,
        })
    }

    /// The answer to a request whose session is not read any more. Whoever holds a key keeps the navigation.
    fn refuse(&self, req: ServiceRequest, error: &Error) -> ServiceResponse<BoxBody> {
        let sent = self.site.cookies.sent_session(req.headers(), &self.site.keys);
        self.facts.set(RequestFacts::new(self.id.clone(), None, String::new(), sent.presented));
        let answer = self.render_known(None, error, None);
        req.into_response(self.finish(answer, &self.site, None))
    }

    /// Whether a program asks, not a person.
    fn is_api(&self) -> bool {
        self.path == "/api" || self.path.starts_with("/api/") || is_of_operations(&self.path)
    }

    fn redirect_to_https(&self, site: &Site) -> HttpResponse {
        HttpResponse::PermanentRedirect()
            .insert_header((header::LOCATION, format!("{}{}", site.public.origin(), self.path_and_query)))
            .finish()
    }

    /// An answer of a handler: as it is, unless it is an error that nobody has put into words yet.
    async fn explain(&self, req: &HttpRequest, answer: HttpResponse) -> HttpResponse {
        let wordless =
            answer.status().as_u16() >= 400 && matches!(answer.body().size(), BodySize::None | BodySize::Sized(0));
        if answer.error().is_none() && !wordless {
            return answer;
        }
        let known = answer.error().and_then(|error| error.as_error::<Error>());
        let made_here;
        let error = match known {
            Some(error) => error,
            None => {
                made_here = Error::from_status(answer.status());
                &made_here
            }
        };
        let mut rendered = self.render_known(Some(req), error, self.form_again(error).await);
        if !matches!(error, Error::SessionEnded(_)) {
            for cookie in answer.headers().get_all(header::SET_COOKIE) {
                rendered.headers_mut().append(header::SET_COOKIE, cookie.clone());
            }
        }
        rendered
    }

    async fn render(&self, error: &actix_web::Error) -> HttpResponse {
        match error.as_error::<Error>() {
            Some(known) => self.render_known(None, known, self.form_again(known).await),
            None => self.render_known(None, &Error::from_status(error.as_response_error().status_code()), None),
        }
    }

    /// What was sent, where it makes sense to send it again.
    async fn form_again(&self, error: &Error) -> Option<FormAgain> {
        error.retry_after()?;
        self.sent.clone()?.fields().await.map(FormAgain::new)
    }

    fn render_known(&self, req: Option<&HttpRequest>, error: &Error, form: Option<FormAgain>) -> HttpResponse {
        log(error);
        let mut answer = if self.is_api() {
            problem(error, &self.id)
        } else if let (true, Error::LoginRequired | Error::SessionEnded(_)) = (self.is_get, error) {
            layout::see_other(&return_to::login_address(&self.path_and_query))
        } else if matches!(error, Error::LoginRequired | Error::SessionEnded(_)) {
            layout::see_other("/login")
        } else {
            ErrorPage::answer(error, req, self, form).unwrap_or_else(|error| error.error_response())
        };
        if let Error::MethodNotAllowed(methods) = error {
            answer.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(methods));
        }
        if let Some(seconds) = error.retry_after() {
            answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if matches!(error, Error::Timeout | Error::HeadTooLarge) {
            answer.head_mut().set_connection_type(ConnectionType::Close);
        }
        answer
    }

    fn finish(&self, answer: HttpResponse, site: &Site, to: Option<Recipient>) -> HttpResponse {
        let answer = compress::compressed(answer, self.may_compress);
        let mut answer = match to {
            Some(to) => {
                site.answers.send(answer, to, site.limits).unwrap_or_else(|error| self.render_known(None, &error, None))
            }
            None => answer,
        };
        let took = self.started.elapsed();
        self.metrics.request(&self.method, self.route.clone(), answer.status().as_u16(), took);
        if self.bounces == Bounce::Done {
            add_cookie(&mut answer, &site.cookies.removal(&site.cookies.bounce));
        }
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            leave_session_alone(&mut answer, &site.cookies);
        }
        headers::secure(answer.headers_mut(), &self.id, site.public.is_https());
        tracing::info!(
            status = answer.status().as_u16(),
            ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "answered"
        );
        answer
    }
}

/// What stands behind the origin in an address. `*` and a bare host, which name no page (RFC 9112, 3.2), are the start.
fn own_part(uri: &actix_web::http::Uri) -> String {
    let part = uri.path_and_query().map(|part| part.as_str());
    part.filter(|part| part.starts_with('/')).unwrap_or("/").to_owned()
}

/// What operators and their programs ask, over http or https.
fn is_of_operations(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics")
}

/// Says in the log why something failed, once; who asked is told less.
pub fn log(error: &Error) {
    match error {
        Error::Internal(cause) => tracing::error!(cause = format!("{cause:#}"), "failed"),
        Error::Unavailable(fault) => tracing::warn!(cause = %fault, "unavailable"),
        Error::CrossOrigin(origins) => tracing::warn!(
            from = origins.from.as_deref().unwrap_or("none named"),
            public = origins.public,
            "a request from another origin was refused: if people open Sessile there, set SESSILE_PUBLIC_URL to that \
             origin, or redirect it to the public one"
        ),
        _ => {}
    }
}

fn add_cookie(answer: &mut HttpResponse, cookie: &actix_web::cookie::Cookie<'_>) {
    // A cookie of ours is always a valid header.
    let _ = answer.add_cookie(cookie);
}

/// A touch renews the cookie of a request that may fail later, and a fault touches no session cookie.
fn leave_session_alone(answer: &mut HttpResponse, names: &CookieNames) {
    let set: Vec<_> = answer.headers_mut().remove(header::SET_COOKIE).collect();
    for cookie in set.into_iter().filter(|cookie| !names.is_of_session(cookie)) {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

fn bounce(req: &ServiceRequest, site: &Site) -> Bounce {
    let fetch = |name: &str| req.headers().get(name).map(header::HeaderValue::as_bytes);
    let elsewhere = matches!(fetch("sec-fetch-site"), Some(b"cross-site" | b"same-site"));
    let navigation = fetch("sec-fetch-mode") == Some(b"navigate") && fetch("sec-fetch-dest") == Some(b"document");
    if site.cookies.has_bounced(req.headers()) {
        return Bounce::Done;
    }
    let is_get = req.method() == actix_web::http::Method::GET;
    if !(elsewhere && navigation && is_get && is_page(req.path())) {
        return Bounce::No;
    }
    match site.cookies.sent_session(req.headers(), &site.keys).presented {
        Presented::Nothing => Bounce::Wanted,
        Presented::Foreign | Presented::Key(_) => Bounce::No,
    }
}

/// Whether an address may be a page that is another to who is signed in. The setup is not: its link is a secret.
fn is_page(path: &str) -> bool {
    let others = [
        "/api/",
        "/static/",
        "/.well-known/",
        "/setup",
        "/healthz",
        "/readyz",
        "/metrics",
        "/manifest.webmanifest",
        "/sw.js",
        "/offline",
    ];
    // A path that begins with two slashes would name another host in a link.
    let names_a_host = matches!(path.as_bytes().get(1), Some(b'/' | b'\\'));
    !names_a_host && !others.iter().any(|other| path.starts_with(other))
}

#[derive(Template)]
#[template(path = "error/bounce.html")]
struct BouncePage {
    page: Page,
    to: String,
}

fn bounce_page(to: &str, site: &Site) -> Result<HttpResponse> {
    let template = BouncePage { page: Page::bare("One moment"), to: to.to_owned() };
    let mut answer = layout::answer(StatusCode::OK, &template)?;
    add_cookie(&mut answer, &site.cookies.bounce_cookie());
    Ok(answer)
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    request_id: &'a str,
}

fn problem(error: &Error, request_id: &str) -> HttpResponse {
    let status = error.status_code();
    let reason = match error {
        Error::SessionEnded(because) => Some(because.as_str()),
        _ => None,
    };
    let problem = Problem {
        r#type: error.slug(),
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: error.detail(),
        reason,
        request_id,
    };
    HttpResponse::build(status)
        .content_type("application/problem+json")
        .body(serde_json::to_string(&problem).unwrap_or_default())
}
