//! The parts of a request that the outermost layer needs after it has passed the request on: it still has to answer,
//! count and log it. Called by the outermost layer and by the error answers.
//!
//! Invariant: the summary is complete before any other layer sees the request, except for the sent form.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant as Stopwatch;

use actix_web::{
    dev::ServiceRequest,
    http::{Method, Uri, header::HeaderMap},
    web,
};

use crate::{
    base::{
        app_paths,
        error::{Error, Result},
        request_id::RequestId,
        request_log::LoggedRequest,
    },
    records::session::{Sessions, request::RequestFacts},
    web::{
        bounce::Bounce,
        compress,
        proxies::Client,
        request_facts::FactsSlot,
        route::{Route, RouteTable},
        sent_form::SentForm,
        site::Site,
    },
};

pub(super) struct RequestSummary {
    pub(super) id: RequestId,
    pub(super) method: Method,
    uri: Uri,
    /// The request as log lines name it.
    pub(super) logged: Rc<LoggedRequest>,
    pub(super) facts: FactsSlot,
    pub(super) site: web::Data<Site>,
    pub(super) routes: web::Data<RouteTable>,
    /// The route declared for the path.
    pub(super) route: Arc<Route>,
    /// Whether the path may be meant for an app's host, but is none of ours there. It is answered like an unknown one.
    pub(super) is_misspelled: bool,
    pub(super) is_get: bool,
    /// A trusted proxy passed on a request that came over http, and the public origin is https.
    pub(super) over_http: bool,
    pub(super) may_compress: bool,
    pub(super) bounce: Bounce,
    pub(super) sent: Option<SentForm>,
    pub(super) started: Stopwatch,
    pub(super) sessions: web::Data<Sessions>,
}

impl RequestSummary {
    pub(super) fn new(req: &ServiceRequest, site: web::Data<Site>, client: Option<Client>) -> Result<Self> {
        let sessions =
            req.app_data::<web::Data<Sessions>>().ok_or_else(|| Error::bug("no sessions in this application"))?;
        let proxied_over_http = client.is_some_and(|client| client.proxied_over_http);
        let routes =
            req.app_data::<web::Data<RouteTable>>().ok_or_else(|| Error::bug("no routes in this application"))?;
        let is_misspelled = app_paths::is_misspelled(req.path());
        let route = Arc::clone(routes.find(if is_misspelled { app_paths::AREA } else { req.path() }));
        let (id, method, uri) = (RequestId::random()?, req.method().clone(), req.uri().clone());
        Ok(Self {
            id,
            logged: LoggedRequest::new(id, method.clone(), uri.clone()),
            uri,
            facts: FactsSlot::default(),
            is_get: method.is_safe(),
            method,
            over_http: site.public.is_https() && proxied_over_http && route.kind.is_for_browsers_here(),
            bounce: Bounce::decide(req, &site, &route),
            may_compress: compress::may(req),
            sent: None,
            started: Stopwatch::now(),
            sessions: sessions.clone(),
            routes: routes.clone(),
            route,
            is_misspelled,
            site,
        })
    }

    /// Sets the facts of a request that is refused before its session is read, so that the error page of a browser with
    /// a session key keeps the navigation.
    pub(super) fn set_facts_of_refused(&self, headers: &HeaderMap) {
        let sent = self.site.cookies.sent_session(headers, &self.site.keys);
        self.facts.set(RequestFacts::new(None, String::new(), sent.presented));
    }

    /// The path and query of the address. `*` and a bare host name no page (RFC 9112, 3.2) and become the start page.
    pub(super) fn path_and_query(&self) -> &str {
        let part = self.uri.path_and_query().map(|part| part.as_str());
        part.filter(|part| part.starts_with('/')).unwrap_or("/")
    }
}
