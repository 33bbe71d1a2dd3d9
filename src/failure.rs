//! The outermost layer: it names each request, renders every error as a problem document (RFC 9457) or as a page,
//! secures the headers of every answer, and writes the one line that the log has of it.
//!
//! Invariant: an answer that says a session has ended, or that something is away, never carries the session cookie.

use std::borrow::Cow;
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

use crate::{
    error::{Error, Origins, Result},
    metrics::Metrics,
    page::{self, Page},
    secret,
    security::{
        Site,
        answers::Recipient,
        compress,
        connections::Connection,
        cookies::CookieNames,
        envelope::{FactsSlot, RequestId},
        forms, headers, limits,
        opened::{self, Opened},
        proxies::{self, Client},
    },
    session::{
        Sessions, guard,
        request::{Presented, RequestFacts},
    },
    text,
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
    let asked = Asked::new(&req, &site, client)?;
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
            Err(error) => return Ok(req.into_response(asked.finish(asked.render_known(None, &error), &site, None))),
        };
        if let Err(error) = limits::admit(&mut req, site.limits).await {
            return Ok(req.into_response(asked.finish(asked.render_known(None, &error), &site, None)));
        }
        if asked.over_http {
            let https = asked.redirect_to_https(&site);
            return Ok(req.into_response(asked.finish(https, &site, None)));
        }
        if asked.bounces == Bounce::Wanted {
            let once_more = bounce_page(&asked.path_and_query, &site)?;
            return Ok(req.into_response(asked.finish(once_more, &site, None)));
        }
        match next.call(req).await {
            Ok(answered) => {
                let (req, answer) = answered.map_into_boxed_body().into_parts();
                let answer = asked.explain(&req, answer);
                let to = Recipient::of(&req, under_way, request);
                Ok(ServiceResponse::new(req, asked.finish(answer, &site, Some(to))))
            }
            Err(error) => {
                let answer = asked.finish(asked.render(&error), &site, None);
                Err(InternalError::from_response(error, answer).into())
            }
        }
    }
    .instrument(span)
    .await
}

/// What the layer must know of a request after it is gone.
struct Asked {
    id: String,
    method: String,
    path: String,
    path_and_query: String,
    facts: FactsSlot,
    site: web::Data<Site>,
    route: Option<String>,
    is_get: bool,
    over_http: bool,
    may_compress: bool,
    bounces: Bounce,
    started: Stopwatch,
    metrics: Metrics,
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
            started: Stopwatch::now(),
            metrics: sessions.db.metrics().clone(),
            path,
        })
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
    fn explain(&self, req: &HttpRequest, answer: HttpResponse) -> HttpResponse {
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
        let mut rendered = self.render_known(Some(req), error);
        if !matches!(error, Error::SessionEnded(_)) {
            for cookie in answer.headers().get_all(header::SET_COOKIE) {
                rendered.headers_mut().append(header::SET_COOKIE, cookie.clone());
            }
        }
        rendered
    }

    fn render(&self, error: &actix_web::Error) -> HttpResponse {
        match error.as_error::<Error>() {
            Some(known) => self.render_known(None, known),
            None => self.render_known(None, &Error::from_status(error.as_response_error().status_code())),
        }
    }

    fn render_known(&self, req: Option<&HttpRequest>, error: &Error) -> HttpResponse {
        log(error);
        let mut answer = if self.is_api() {
            problem(error, &self.id)
        } else if let (true, Error::LoginRequired | Error::SessionEnded(_)) = (self.is_get, error) {
            page::see_other(&guard::login_address(&self.path_and_query))
        } else if matches!(error, Error::LoginRequired | Error::SessionEnded(_)) {
            page::see_other("/login")
        } else {
            ErrorPage::answer(error, req, self).unwrap_or_else(|error| error.error_response())
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
                site.answers.send(answer, to, site.limits).unwrap_or_else(|error| self.render_known(None, &error))
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
    let mut answer = page::answer(StatusCode::OK, &template)?;
    add_cookie(&mut answer, &site.cookies.bounce_cookie());
    Ok(answer)
}

#[derive(Template)]
#[template(path = "error/error.html")]
struct ErrorPage {
    page: Page,
    code: u16,
    heading: &'static str,
    words: Cow<'static, str>,
    request_id: String,
    back: Option<(Cow<'static, str>, &'static str)>,
    /// Whether the page loads itself again once the service is back.
    returns: bool,
}

/// What an error page must know of whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Nobody who is signed in, as far as the cookie says.
    Stranger,
    /// Somebody whose browser holds a session key that we signed. Whether it lives may not be known.
    Holder,
}

impl ErrorPage {
    fn answer(error: &Error, req: Option<&HttpRequest>, asked: &Asked) -> Result<HttpResponse> {
        let facts = asked.facts.facts();
        let reader = match facts.as_deref() {
            Some(RequestFacts { presented: Presented::Key(_), .. }) => Reader::Holder,
            _ => Reader::Stranger,
        };
        let (heading, words) = in_plain_words(error, reader);
        let page = req.map_or_else(|| Page::bare(heading), |req| Page::new(req, heading));
        let template = Self {
            page: with_navigation(page, facts.as_deref(), reader, &asked.site)?,
            code: error.status_code().as_u16(),
            heading,
            words,
            request_id: asked.id.clone(),
            back: Some(match error {
                // The same address again.
                Error::Unavailable(_) | Error::Timeout | Error::TooManyAttempts(_) | Error::TooFast(_) => {
                    ("".into(), "Try again")
                }
                Error::CrossOrigin(origins) => (format!("{}/", origins.public).into(), "Go to the start page"),
                _ => ("/".into(), "Go to the start page"),
            }),
            returns: asked.is_get && matches!(error, Error::Unavailable(_)),
        };
        page::answer(error.status_code(), &template)
    }
}

/// Whoever is signed in keeps the navigation and the way out. While the database is away nobody's name is known, and the
/// navigation alone is shown.
fn with_navigation(page: Page, facts: Option<&RequestFacts>, reader: Reader, site: &Site) -> Result<Page> {
    match facts.and_then(RequestFacts::live) {
        Some(live) => {
            let token = forms::token_of_session(site, &live)?;
            Ok(page.of(&live.account.name, &token, ""))
        }
        None => Ok(Page {
            has_navigation: reader == Reader::Holder && facts.is_some_and(RequestFacts::is_undecided),
            ..page
        }),
    }
}

fn in_plain_words(error: &Error, reader: Reader) -> (&'static str, Cow<'static, str>) {
    if let Error::CrossOrigin(origins) = error {
        return ("That came from another site", where_from(origins).into());
    }
    let (heading, words) = in_fixed_words(error, reader);
    (heading, words.into())
}

fn where_from(Origins { from, public, is_ours }: &Origins) -> String {
    match from {
        Some(from) if *is_ours => format!(
            "The page was opened at {from}, but Sessile is at {public} and does only what its pages there ask for. Open it \
             there and try again."
        ),
        Some(from) if from != public => format!(
            "To keep you safe, Sessile does only what its own pages at {public} ask for, and this came from {from}. Open \
             the page here and try again."
        ),
        _ => format!(
            "To keep you safe, Sessile does only what its own pages at {public} ask for. Open the page here and try again."
        ),
    }
}

fn in_fixed_words(error: &Error, reader: Reader) -> (&'static str, &'static str) {
    match error {
        Error::NotFound => ("Page not found", "The address may be mistyped, or the page may be gone."),
        Error::CrossOrigin(_) => ("That came from another site", ""),
        Error::MethodNotAllowed(_) => ("That does not work here", "This address cannot be used that way."),
        Error::Quota(_) => ("There is no room left", "Delete or shorten some of your drafts, then save again."),
        Error::TooLarge => ("That is too much", "What you sent is larger than this page takes."),
        Error::HeadTooLarge => {
            ("That is too much", "Your browser sent more than this page takes. Clearing this site's cookies may help.")
        }
        Error::Timeout => ("That took too long", "Your connection was too slow for this. Please try again."),
        Error::TooManyAttempts(_) => {
            ("Too many tries", "There were too many wrong passwords. Wait a little, then try again.")
        }
        Error::TooFast(_) => ("That was a lot at once", "Wait a little, then try again. Nothing else was changed."),
        Error::Forbidden => ("That is not for you", "Your account may not do this. Ask the administrator."),
        Error::ConfirmationRequired => ("Your password, please", "Type your password again before you do this."),
        Error::Unavailable(_) if reader == Reader::Holder => (
            "Just a moment, please",
            "Sessile cannot answer just now. You are not signed out. This page loads again by itself.",
        ),
        Error::Unavailable(_) => {
            ("Just a moment, please", "Sessile cannot answer just now. Please try again in a minute.")
        }
        Error::Internal(_) => (
            "Something went wrong",
            "It is not your fault. Please try again; if it happens again, tell the administrator.",
        ),
        Error::LoginRequired | Error::SessionEnded(_) | Error::InvalidCredentials => {
            ("Sign in first", "You need to sign in to see this.")
        }
        Error::Invalid(_) | Error::UnsupportedMediaType(_) | Error::Conflict(_) => {
            ("That could not be read", "What your browser sent makes no sense here. Go back and try again.")
        }
    }
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
