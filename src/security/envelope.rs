//! What surrounds the session middleware: it reads who asks, makes sure that only a session cookie which one of our keys
//! signed gets through, and lets the store's faults out as what they are.
//!
//! Invariant: the session cookie that actix-session sees was verified here, whichever of the keys signed it, and signed
//! again by the first.

use std::cell::RefCell;
use std::rc::Rc;

use actix_web::{
    HttpMessage as _,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderValue},
    middleware::Next,
    web,
};

use super::{Site, answers::AccountId, cookies, proxies::Client};
use crate::{
    clock::zone,
    device::Hints,
    error::{Away, Error, Result},
    session::{
        SessionKey,
        request::{Presented, RequestFacts},
    },
};

/// A page's script sends it with what nobody has asked it for, so that an open page alone keeps no session alive.
const UNATTENDED: &str = "x-unattended";

/// Where the outermost layer finds the facts of a request after it was answered.
#[derive(Debug, Clone, Default)]
pub struct FactsSlot(Rc<RefCell<Option<Rc<RequestFacts>>>>);

impl FactsSlot {
    /// The facts, if the request came so far.
    pub fn facts(&self) -> Option<Rc<RequestFacts>> {
        self.0.borrow().clone()
    }
}

/// Names a request; set by the outermost layer.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Runs the rest of the request with its facts.
pub async fn wrap(
    mut req: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let site = req.app_data::<web::Data<Site>>().cloned().ok_or_else(|| Error::bug("no site in this application"))?;
    let facts = Rc::new(facts(&mut req, &site));
    if let Some(slot) = req.extensions().get::<FactsSlot>() {
        slot.0.replace(Some(Rc::clone(&facts)));
    }
    if !site.is_ready() {
        return Err(Error::unavailable(Away::Database, "the database has not answered since the start").into());
    }
    let answer = Rc::clone(&facts).scope(next.call(req)).await;
    if let (Ok(answer), Some(live)) = (&answer, facts.live()) {
        answer.request().extensions_mut().insert(AccountId(live.account.id.clone()));
    }
    match facts.fault.take() {
        Some(error) => Err(error.into()),
        None => answer,
    }
}

fn facts(req: &mut ServiceRequest, site: &Site) -> RequestFacts {
    let ip = req.extensions().get::<Client>().map(|client| client.ip.to_string());
    let said = |name: &str| req.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let user_agent = said(header::USER_AGENT.as_str()).unwrap_or_default();
    let hints =
        Hints { brands: said("sec-ch-ua"), platform: said("sec-ch-ua-platform"), mobile: said("sec-ch-ua-mobile") };
    let request_id = req.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let presented = present(req, site);
    let facts = RequestFacts {
        hints,
        browser_zone: zone(req, site),
        ..RequestFacts::new(request_id, ip, user_agent, presented)
    };
    facts.unattended.set(req.headers().contains_key(UNATTENDED));
    facts
}

/// The time zone that the page's script has found out, if there is one of that name.
fn zone(req: &ServiceRequest, site: &Site) -> Option<String> {
    let cookie = cookies::all_named(req.headers(), &site.cookies.zone).into_iter().next()?;
    zone::named(cookie.value()).map(|_| cookie.value().to_owned())
}

/// Longest session cookie that is looked at; ours are far below.
const LONGEST: usize = 4096;

/// Reads the session cookie. Of several the first that is ours counts. The request goes on with that one alone, beside
/// cookies of other names.
fn present(req: &mut ServiceRequest, site: &Site) -> Presented {
    if !req.headers().contains_key(header::COOKIE) {
        return Presented::Nothing;
    }
    let name = &site.cookies.session;
    let sent = cookies::all_named(req.headers(), name);
    let presented = match sent
        .iter()
        .filter(|cookie| cookie.value().len() <= LONGEST)
        .find_map(|cookie| SessionKey::parse(&site.keys.verify_cookie(cookie)?))
    {
        Some(key) => Presented::Key(key),
        None if sent.is_empty() => Presented::Nothing,
        None => Presented::Foreign,
    };
    let mut kept = cookies::others(req.headers(), name);
    if let Presented::Key(key) = &presented {
        kept.push(site.keys.sign_cookie(name, key.expose()).encoded().to_string());
    }
    req.headers_mut().remove(header::COOKIE);
    if let Ok(value) = HeaderValue::from_bytes(kept.join("; ").as_bytes()) {
        req.headers_mut().insert(header::COOKIE, value);
    }
    presented
}
