//! The gate: answers a proxy that asks whether a request may go on to a protected app, and tells the app who sent it.
//! Called by the routes.
//!
//! Invariant: an answer of 200 with a person in it was given only after the grant, its session, the account and the app's
//! rules were checked, under the rules of the caches.

mod answers;
mod asked;
mod identity;

use std::sync::{Arc, Mutex};

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};

use self::{
    answers::{passed, refused, sent_to_start},
    asked::{Asked, RequestOrigin},
    identity::Identification,
};
use crate::{
    base::{
        error::{Away, Error, Origins, Result},
        outage::Outage,
        secret::{self, Secret},
    },
    records::{
        account::Account,
        app::{App, Apps, Usage},
        session::{Sessions, grants::Granted},
    },
    web::{
        app_cookies::AppCookies, forwarded::Forwarded, header_names::UNATTENDED, origin::origins, proxies::Client,
        site::Site,
    },
};

/// The characters of a gate token.
const TOKEN: usize = 43;
/// The path with which `doctor` looks at what a proxy passes on.
const ECHO: &str = "/.sessile/echo";
/// These limit the log lines about one problem.
static WRONG_ORIGIN: Mutex<Outage> = Mutex::new(Outage::new("recognizing the origin of requests to an app"));
static OBSERVED: Mutex<Outage> = Mutex::new(Outage::new("checking requests to observed apps"));

/// What the gate needs.
struct Gate<'a> {
    site: &'a Site,
    sessions: &'a Sessions,
    app: &'a App,
}

/// Any method `/.sessile/gate/{token}`
///
/// # Errors
/// [`Error::NotFound`] for an unknown token, and the refusals of an app.
pub async fn ask(
    req: HttpRequest,
    token: web::Path<String>,
    site: web::Data<Site>,
    sessions: web::Data<Sessions>,
    (apps, usage): (web::Data<Apps>, web::Data<Usage>),
) -> Result<HttpResponse> {
    if !secret::is_base64url(&token, TOKEN) {
        return Err(Error::NotFound);
    }
    let token = Secret::presented(token.into_inner());
    let app = match app_of(&token, &site, &apps).await {
        Ok(app) => app,
        // An observed app must not notice that the gate cannot answer. A token that is unknown is refused, though.
        Err(fault @ Error::Unavailable(_)) => match known_observed(&token, &apps) {
            Some(app) => return observed(&app, fault, &usage),
            None => return Err(fault),
        },
        Err(error) => return Err(error),
    };
    if !app.is_enabled() {
        let asked = Asked::new(&Forwarded::of(&req, &site), req.headers());
        return answers::closed(&app, &asked, &site.app_face);
    }
    let gate = Gate { site: &site, sessions: &sessions, app: &app };
    match gate.decide(&req).await {
        Ok(Decision::Pass(person)) => {
            if person.is_some() {
                usage.note_used(&app.id);
            }
            passed(app.identity, person.as_ref())
        }
        Ok(_) if app.observe => {
            usage.note_refused(&app.id);
            passed(app.identity, None)
        }
        Err(fault) if app.observe => observed(&app, fault, &usage),
        Ok(Decision::Renew(asked)) => sent_to_start(&app, &asked),
        Ok(Decision::SignInFirst(asked)) => refused(&app, &asked, &site.app_face),
        Ok(Decision::NotAdmitted(asked, account)) => answers::not_admitted(&app, &asked, &account, &site),
        Err(error) => Err(error),
    }
}

async fn app_of(token: &Secret, site: &Site, apps: &Apps) -> Result<Arc<App>> {
    if !site.is_ready() {
        return Err(Error::unavailable(Away::Database, "the database has not answered since the start"));
    }
    apps.of_token(token).await?.ok_or(Error::NotFound)
}

/// The observed app of this token as it was last known, while the database cannot be asked.
fn known_observed(token: &Secret, apps: &Apps) -> Option<Arc<App>> {
    let known = apps.last_known()?;
    known.of_token(token).filter(|app| app.observe && app.is_enabled()).cloned()
}

/// Lets a request to an observed app pass. A refusal is counted; a fault is logged.
fn observed(app: &App, error: Error, usage: &Usage) -> Result<HttpResponse> {
    match error {
        Error::Unavailable(_) | Error::Internal(_) => {
            if let Ok(mut outage) = OBSERVED.lock() {
                outage.failed(&error);
            }
        }
        _ => usage.note_refused(&app.id),
    }
    passed(app.identity, None)
}

/// What the gate decides.
enum Decision {
    /// The request may go on, with the person if it has one.
    Pass(Option<Identification>),
    /// Nobody is signed in, or the session lacks a second factor that is required.
    SignInFirst(Asked),
    /// The app does not admit the person.
    NotAdmitted(Asked, Box<Account>),
    /// The cookie on Sessile's own origin must be renewed, which only a visit there can do.
    Renew(Asked),
}

impl Gate<'_> {
    /// # Errors
    /// The refusals that do not depend on who is signed in, and an unavailable database.
    async fn decide(&self, req: &HttpRequest) -> Result<Decision> {
        let app = self.app;
        let forwarded = Forwarded::of(req, self.site);
        if forwarded.origin.as_deref() != Some(app.origin.as_str()) {
            self.note_wrong_origin(req, &forwarded);
            return Err(Error::Forbidden);
        }
        let asked = Asked::new(&forwarded, req.headers());
        let is_open = asked.path() == ECHO || (app.allow_preflight && asked.is_preflight(req.headers()));
        if is_open && forwarded.is_consistent {
            return Ok(Decision::Pass(None));
        }
        let from = if app.allow_cross_site { RequestOrigin::App } else { asked.from(&app.origin, req.headers()) };
        if from == RequestOrigin::Elsewhere {
            return Err(self.cross_origin(req));
        }
        let key = AppCookies::of(&app.origin).key(req.headers(), &self.site.keys);
        let Some(key) = key else { return Ok(Decision::SignInFirst(asked)) };
        let granted = self.sessions.find_grant(&key).await?.filter(|granted| granted.app_id == app.id);
        let Some(granted) = granted else { return Ok(Decision::SignInFirst(asked)) };
        if from == RequestOrigin::Unknown {
            return Err(self.cross_origin(req));
        }
        if !app.allows(&granted.account) {
            return Ok(Decision::NotAdmitted(asked, Box::new(granted.account)));
        }
        if !self.is_enough(&granted) {
            return Ok(Decision::SignInFirst(asked));
        }
        if asked.is_navigation && !app.observe && self.is_half_over(&granted) {
            return Ok(Decision::Renew(asked));
        }
        let granted = match req.headers().contains_key(UNATTENDED) {
            true => Some(granted),
            false => {
                let ip = req.extensions().get::<Client>().map(|client| client.ip.to_string());
                self.sessions.touch_by_grant(&key, granted, ip.as_deref()).await?
            }
        };
        let Some(granted) = granted else { return Ok(Decision::SignInFirst(asked)) };
        Identification::new(self.site, app, &granted).map(|person| Decision::Pass(Some(person)))
    }

    /// Whether the session may use the app as it is: whoever must have a second factor has one, and gave it where the app
    /// asks for it. Opening the app leads to what is missing.
    fn is_enough(&self, granted: &Granted) -> bool {
        let is_set_up = !self.sessions.second_factor.asks_for_set_up(&granted.account);
        is_set_up && (!self.app.require_second_factor || granted.record.amr().has_second_factor())
    }

    /// Whether half of the time is over that the cookie on Sessile's own origin lasts without a visit there.
    fn is_half_over(&self, granted: &Granted) -> bool {
        granted.now.since(granted.opened_at) > self.sessions.times.idle / 2
    }

    fn note_wrong_origin(&self, req: &HttpRequest, forwarded: &Forwarded) {
        let peer = req.peer_addr().map_or_else(String::new, |peer| peer.ip().to_string());
        let sent = forwarded.origin.as_deref().unwrap_or("no origin that can be trusted");
        let cause = format!(
            "{peer} sent {sent} instead of {}: check the proxy's X-Forwarded headers, and SESSILE_TRUSTED_PROXIES",
            self.app.origin
        );
        if let Ok(mut outage) = WRONG_ORIGIN.lock() {
            outage.failed(&cause);
        }
    }

    fn cross_origin(&self, req: &HttpRequest) -> Error {
        let found = origins(req.headers(), &self.site.public);
        Error::CrossOrigin(Origins { public: self.app.origin.clone(), is_ours: false, is_for_app: true, ..found })
    }
}
