//! The layer around the session middleware. It collects the facts of a request, passes on only a session cookie that
//! one of our keys signed, and reports the store's faults as errors.
//!
//! Invariant: the session cookie that actix-session sees was verified here with any of the keys, and signed again with
//! the first.

use std::cell::RefCell;
use std::rc::Rc;

use actix_web::{
    HttpMessage as _,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
    web,
};

use super::{answers::AccountId, proxies::Client};
use crate::web::site::Site;
use crate::{
    base::error::{Away, Error, Result},
    records::{device::Hints, session::request::RequestFacts},
};

/// A page's script sends this header with automatic requests, so that an open page alone does not keep a session alive.
const UNATTENDED: &str = "x-unattended";

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

/// The id of a request, set by the outermost layer.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Runs the rest of the request with its facts.
pub async fn wrap(
    mut req: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let site = req.app_data::<web::Data<Site>>().cloned().ok_or_else(|| Error::bug("no site in this application"))?;
    let (facts, holds_old_cookie) = facts(&mut req, &site);
    let facts = Rc::new(facts);
    if let Some(slot) = req.extensions().get::<FactsSlot>() {
        slot.0.replace(Some(Rc::clone(&facts)));
    }
    if !site.is_ready() {
        return Err(Error::unavailable(Away::Database, "the database has not answered since the start").into());
    }
    let mut answer = Rc::clone(&facts).scope(next.call(req)).await;
    if let (Ok(answer), Some(live)) = (&answer, facts.live()) {
        answer.request().extensions_mut().insert(AccountId(live.account.id.clone()));
    }
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

/// The facts of a request, and whether the presented session key also came under the old cookie name.
fn facts(req: &mut ServiceRequest, site: &Site) -> (RequestFacts, bool) {
    let ip = req.extensions().get::<Client>().map(|client| client.ip.to_string());
    let said = |name: &str| req.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let user_agent = said(header::USER_AGENT.as_str()).unwrap_or_default();
    let hints = Hints {
        brands: said("sec-ch-ua"),
        platform: said("sec-ch-ua-platform"),
        mobile: said("sec-ch-ua-mobile"),
        platform_version: said("sec-ch-ua-platform-version"),
        model: said("sec-ch-ua-model"),
    };
    let request_id = req.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let sent = site.cookies.sent_session(req.headers(), &site.keys);
    let browser_zone = site.cookies.zone(req.headers());
    let device_secrets = site.cookies.device_secrets(req.headers());
    site.cookies.keep_accepted(req.headers_mut(), &sent.presented, &site.keys);
    let facts = RequestFacts {
        hints,
        browser_zone,
        keys: sent.keys,
        device_secrets,
        renews_cookie: sent.under_old_name,
        ..RequestFacts::new(request_id, ip, user_agent, sent.presented)
    };
    facts.unattended.set(req.headers().contains_key(UNATTENDED));
    (facts, sent.holds_old_cookie)
}
