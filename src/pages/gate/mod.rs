//! The gate: answers a proxy that asks whether a request may go on to a protected app, and tells the app who sent it.
//! Called by the routes.
//!
//! Invariant: an answer of 200 with a person in it was given only after the grant, its session, the account and the app's
//! rules were checked, under the rules of the caches.

mod answers;
mod asked;
mod identity;

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};

use self::{
    answers::{passed, refused, sent_to_start},
    asked::{Asked, From},
    identity::Identification,
};
use crate::{
    base::{
        error::{Away, Error, Origins, Result},
        secret::{self, Secret},
    },
    records::{
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
    apps: web::Data<Apps>,
    usage: web::Data<Usage>,
) -> Result<HttpResponse> {
    if !site.is_ready() {
        return Err(Error::unavailable(Away::Database, "the database has not answered since the start"));
    }
    let token = token.into_inner();
    if !secret::is_base64url(&token, TOKEN) {
        return Err(Error::NotFound);
    }
    let registry = apps.all().await?;
    let app = registry.of_token(&Secret::presented(token)).ok_or(Error::NotFound)?;
    if !app.is_enabled() {
        return Err(Error::Forbidden);
    }
    let gate = Gate { site: &site, sessions: &sessions, app };
    match gate.decide(&req).await {
        Ok(Decision::Pass(person)) => {
            if person.is_some() {
                usage.note_used(&app.id);
            }
            passed(app.identity, person.as_ref())
        }
        refusal if app.observe => {
            if let Err(Error::Unavailable(fault)) = &refusal {
                tracing::warn!(cause = %fault, app = app.id, "an observed app could not be checked");
            }
            usage.note_refused(&app.id);
            passed(app.identity, None)
        }
        Ok(Decision::Renew(asked)) => sent_to_start(app, &asked),
        Ok(Decision::SignInFirst(asked)) => refused(app, &asked),
        Ok(Decision::NotAdmitted(asked)) => answers::not_admitted(app, &asked),
        Err(error) => Err(error),
    }
}

/// What the gate decides.
enum Decision {
    /// The request may go on, with the person if it has one.
    Pass(Option<Identification>),
    /// Nobody is signed in.
    SignInFirst(Asked),
    /// The app does not admit the person.
    NotAdmitted(Asked),
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
            tracing::debug!(app = app.id, origin = forwarded.origin, "the forwarded origin is not the app's");
            return Err(Error::Forbidden);
        }
        let asked = Asked::new(&forwarded, req.headers());
        let is_open = asked.path() == ECHO || (app.allow_preflight && asked.is_preflight(req.headers()));
        if is_open && forwarded.is_consistent {
            return Ok(Decision::Pass(None));
        }
        let from = if app.allow_cross_site { From::App } else { asked.from(&app.origin, req.headers()) };
        if from == From::Elsewhere {
            return Err(self.cross_origin(req));
        }
        let key = AppCookies::of(&app.origin).key(req.headers());
        let Some(key) = key else { return Ok(Decision::SignInFirst(asked)) };
        let granted = self.sessions.find_grant(&key).await?.filter(|granted| granted.app_id == app.id);
        let Some(granted) = granted else { return Ok(Decision::SignInFirst(asked)) };
        if from == From::Unknown {
            return Err(self.cross_origin(req));
        }
        if !app.admits(&granted.account) {
            return Ok(Decision::NotAdmitted(asked));
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

    /// Whether half of the time is over that the cookie on Sessile's own origin lasts without a visit there.
    fn is_half_over(&self, granted: &Granted) -> bool {
        granted.now.since(granted.opened_at) > self.sessions.times.idle / 2
    }

    fn cross_origin(&self, req: &HttpRequest) -> Error {
        let found = origins(req.headers(), &self.site.public);
        Error::CrossOrigin(Origins { public: self.app.origin.clone(), is_ours: false, ..found })
    }
}
