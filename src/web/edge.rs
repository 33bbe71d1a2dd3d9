//! The outermost layer. It gives each request an id, refuses requests that are too large or too many, redirects to
//! https, sets the security headers of every answer, and writes the one log line per request. [`errors`] turns errors
//! of the layers below into answers.
//!
//! Invariant: an answer that reports an ended session or an unavailable service never sets a session cookie.

use std::net::IpAddr;
use std::rc::Rc;

use crate::{
    base::error::{Error, Result},
    web::{
        answers::{AccountId, Recipient},
        bounce::{self, Bounce},
        compress,
        connections::{Connection, Request, UnderWay},
        cookies::CookieNames,
        errors,
        headers::{self, Shown},
        limits, opened,
        proxies::{self, Client},
        request_summary::RequestSummary,
        route::Kind,
        sent_form::SentForm,
        site::Site,
    },
};
use actix_web::{
    HttpMessage as _, HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{StatusCode, header},
    middleware::Next,
    web,
};

/// Answers a request.
///
/// # Errors
/// The error already contains the whole answer, as actix requires it.
pub async fn answer(
    mut req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let site = req.app_data::<web::Data<Site>>().cloned().ok_or_else(|| Error::bug("no site in this application"))?;
    headers::detach(req.headers_mut());
    let under_way = req.conn_data::<Connection>().map(Connection::begin);
    let client = req.peer_addr().map(|peer| proxies::resolve(peer.ip(), req.headers(), &site.proxies));
    let summary = RequestSummary::new(&req, site, client)?;
    if summary.route.may_load_session() {
        req.extensions_mut().insert(summary.facts.clone());
    }
    if let Some(client) = client {
        req.extensions_mut().insert(client);
    }
    let logged = Rc::clone(&summary.logged);
    let answering = async move {
        if summary.route.kind.is_for_browsers_here() {
            opened::note_wrong_host(req.request(), &summary.site);
        }
        let request = match client.map(|client| summary.site.connections.request(client.ip)).transpose() {
            Ok(request) => request,
            Err(error) => return Ok(refuse(req, &summary, &error)),
        };
        if summary.is_misspelled {
            return Ok(refuse(req, &summary, &Error::NotFound));
        }
        if let Err(error) = limits::admit(&mut req, summary.site.limits, &summary.route).await {
            return Ok(refuse(req, &summary, &error));
        }
        if let Some(redirect) = redirect(&summary)? {
            return Ok(req.into_response(finish(redirect, &summary, None)));
        }
        pass_on(req, next, summary, (under_way, request)).await
    };
    logged.scope(answering).await
}

/// The answer that makes the browser repeat the request over https or from our own page, if either is needed.
fn redirect(summary: &RequestSummary) -> Result<Option<HttpResponse>> {
    let site = &summary.site;
    if summary.over_http {
        let https = format!("{}{}", site.public.origin(), summary.path_and_query());
        return Ok(Some(HttpResponse::PermanentRedirect().insert_header((header::LOCATION, https)).finish()));
    }
    if summary.bounce == Bounce::Wanted {
        return bounce::page(summary.path_and_query(), site).map(Some);
    }
    Ok(None)
}

async fn pass_on(
    mut req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    mut summary: RequestSummary,
    (under_way, request): (Option<UnderWay>, Option<Request>),
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if !summary.route.kind.wants_problem_documents() {
        summary.sent = SentForm::keep(&mut req, &summary.site);
    }
    match next.call(req).await {
        Ok(answered) => {
            let (req, answer) = answered.map_into_boxed_body().into_parts();
            let answer = errors::explain(&summary, &req, answer).await;
            let to =
                Recipient { address: address(&req), under_way, request, is_file: summary.route.kind == Kind::File };
            Ok(ServiceResponse::new(req, finish(answer, &summary, Some(to))))
        }
        Err(error) => {
            let answer = finish(errors::of_failed_layer(&summary, &error).await, &summary, None);
            Err(InternalError::from_response(error, answer).into())
        }
    }
}

/// The address of the request's client.
fn address(req: &HttpRequest) -> Option<IpAddr> {
    req.extensions().get::<Client>().map(|client| client.ip)
}

/// Refuses a request before its session is read.
fn refuse(req: ServiceRequest, summary: &RequestSummary, error: &Error) -> ServiceResponse<BoxBody> {
    summary.set_facts_of_refused(req.headers());
    let answer = errors::of_error(summary, error);
    req.into_response(finish(answer, summary, None))
}

/// Prepares an answer for sending, counts it and logs it.
fn finish(answer: HttpResponse, summary: &RequestSummary, to: Option<Recipient>) -> HttpResponse {
    let site = &summary.site;
    let answer = compress::compressed(answer, summary.may_compress);
    let mut answer = match to {
        Some(to) => {
            let account = || summary.facts.facts()?.live().map(|live| AccountId(live.account.id.clone()));
            let sent = site.answers.send(answer, to, account, site.limits);
            sent.unwrap_or_else(|error| errors::of_error(summary, &error))
        }
        None => answer,
    };
    let took = summary.started.elapsed();
    summary.sessions.db.metrics().request(
        &summary.route.meter,
        summary.method.as_str(),
        answer.status().as_u16(),
        took,
    );
    if summary.bounce == Bounce::Done {
        // Cannot fail: our cookies are always valid headers.
        let _ = answer.add_cookie(&site.cookies.removal(&site.cookies.bounce));
    }
    if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
        remove_session_cookie(&mut answer, &site.cookies);
    }
    let shown = shown(summary.route.kind, answer.status(), site.public.is_https());
    headers::secure(answer.headers_mut(), summary.id, shown);
    summary.logged.answered(answer.status(), took);
    answer
}

fn shown(kind: Kind, status: StatusCode, https: bool) -> Shown {
    match kind {
        Kind::Gate => Shown::Gate,
        Kind::AppHost => Shown::AppHost,
        Kind::Api => Shown::OwnOrigin { https, is_page: false },
        // A file that does not exist is answered with a page.
        Kind::File => Shown::OwnOrigin { https, is_page: status.is_client_error() || status.is_server_error() },
        _ => Shown::OwnOrigin { https, is_page: true },
    }
}

/// Removes the session cookie from an answer. A touch may renew the cookie before the request fails, and a failure must
/// not change the session.
fn remove_session_cookie(answer: &mut HttpResponse, names: &CookieNames) {
    let set: Vec<_> = answer.headers_mut().remove(header::SET_COOKIE).collect();
    for cookie in set.into_iter().filter(|cookie| !names.is_of_session(cookie)) {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
}
