//! The layer around the session middleware. It collects the facts of a request, passes on only a session cookie that
//! one of our keys signed, and reports the store's faults as errors.
//!
//! Invariant: the session cookie that actix-session sees was verified here with any of the keys, and carries the
//! signature of the first.

use std::cell::RefCell;
use std::rc::Rc;

use actix_web::{
    HttpMessage as _,
    dev::{Service, ServiceRequest, ServiceResponse},
    http::header::{self, HeaderName},
    web,
};

use super::{
    header_names::{
        SEC_CH_UA, SEC_CH_UA_MOBILE, SEC_CH_UA_MODEL, SEC_CH_UA_PLATFORM, SEC_CH_UA_PLATFORM_VERSION, UNATTENDED,
    },
    proxies::Client,
};
use crate::web::{route::RouteTable, site::Site};
use crate::{
    base::error::{Away, Error, Result},
    records::{device::Hints, session::request::RequestFacts},
};

/// The slot through which the outermost layer gets the facts of a request.
#[derive(Debug, Clone, Default)]
pub struct FactsSlot(Rc<RefCell<Option<Rc<RequestFacts>>>>);

impl FactsSlot {
    /// Sets the facts of a request that is refused before this layer.
    pub fn set(&self, facts: RequestFacts) {
        self.0.replace(Some(Rc::new(facts)));
    }

    /// The facts, if the request reached this layer or was refused with facts.
    pub fn facts(&self) -> Option<Rc<RequestFacts>> {
        self.0.borrow().clone()
    }
}

/// Runs the rest of the request with its facts.
pub fn wrap<Next, Body>(
    mut req: ServiceRequest,
    next: &Next,
) -> impl Future<Output = Result<ServiceResponse<Body>, actix_web::Error>> + use<Next, Body>
where
    Next: Service<ServiceRequest, Response = ServiceResponse<Body>, Error = actix_web::Error>,
{
    let prepared = prepare(&mut req).map(|(facts, site, holds_old_cookie)| {
        // The layers below may read the facts as soon as they are called.
        let answering = Rc::clone(&facts).sync_scope(|| next.call(req));
        (Rc::clone(&facts).scope(answering), facts, site, holds_old_cookie)
    });
    async move {
        let (answering, facts, site, holds_old_cookie) = prepared?;
        finish(answering.await, &facts, &site, holds_old_cookie)
    }
}

/// Collects the facts. The boolean is whether the presented session key also came under the old cookie name.
fn prepare(req: &mut ServiceRequest) -> Result<(Rc<RequestFacts>, web::Data<Site>, bool)> {
    let site = req.app_data::<web::Data<Site>>().cloned().ok_or_else(|| Error::bug("no site in this application"))?;
    let (facts, holds_old_cookie) = facts(req, &site);
    let facts = Rc::new(facts);
    if let Some(slot) = req.extensions().get::<FactsSlot>() {
        slot.0.replace(Some(Rc::clone(&facts)));
    }
    if !site.is_ready() {
        return Err(Error::unavailable(Away::Database, "the database has not answered since the start"));
    }
    Ok((facts, site, holds_old_cookie))
}

fn finish<Body>(
    mut answer: Result<ServiceResponse<Body>, actix_web::Error>,
    facts: &RequestFacts,
    site: &Site,
    holds_old_cookie: bool,
) -> Result<ServiceResponse<Body>, actix_web::Error> {
    if let Some(error) = facts.fault.take() {
        return Err(error.into());
    }
    if let Ok(answer) = &mut answer
        && holds_old_cookie
        && facts.is_known()
        && let Some(removal) = site.cookies.removal_of_old(answer.headers(), &facts.presented, &site.keys)
    {
        answer.response_mut().add_cookie(&removal).map_err(Error::bug)?;
    }
    answer
}

fn is_open_to_set_up(req: &ServiceRequest) -> bool {
    let table = req.app_data::<web::Data<RouteTable>>();
    table.is_some_and(|table| table.find(req.path()).is_open_to_set_up)
}

/// The facts of a request, and whether the presented session key also came under the old cookie name.
fn facts(req: &mut ServiceRequest, site: &Site) -> (RequestFacts, bool) {
    let ip = req.extensions().get::<Client>().map(|client| client.ip.to_string());
    let said = |name: HeaderName| req.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let user_agent = said(header::USER_AGENT).unwrap_or_default();
    let hints = Hints {
        brands: said(SEC_CH_UA),
        platform: said(SEC_CH_UA_PLATFORM),
        mobile: said(SEC_CH_UA_MOBILE),
        platform_version: said(SEC_CH_UA_PLATFORM_VERSION),
        model: said(SEC_CH_UA_MODEL),
    };
    let sent = site.cookies.sent_session(req.headers(), &site.keys);
    let browser_zone = site.cookies.zone(req.headers());
    let device_secrets = site.cookies.device_secrets(req.headers());
    site.cookies.keep_accepted(req.headers_mut(), &sent, &device_secrets, &site.keys);
    let facts = RequestFacts {
        hints,
        browser_zone,
        keys: sent.keys,
        device_secrets,
        renews_cookie: sent.under_old_name,
        is_open_to_set_up: is_open_to_set_up(req),
        ..RequestFacts::new(ip, user_agent, sent.presented)
    };
    facts.unattended.set(req.headers().contains_key(UNATTENDED));
    (facts, sent.holds_old_cookie)
}
