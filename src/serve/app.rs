//! The application, the same for `serve` and for tests: which layer surrounds which, and why in that order.

use actix_identity::IdentityMiddleware;
use actix_session::{
    SessionMiddleware,
    config::{CookieContentSecurity, PersistentSession, TtlExtensionPolicy},
};
use actix_web::{
    App,
    body::BoxBody,
    cookie::{SameSite, time::Duration},
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::from_fn,
    web,
};

use crate::{
    actions::password_proof::Prover,
    pages::ops::{LiveSessions, Readiness},
    records::{hub::Hub, session::Sessions},
    serve::routes::Routes,
    web::{edge, forms, json, key_handover, origin, request_facts, site::Site},
};

/// What an application is made of. Cheap to clone; all workers share what is behind it.
#[derive(Clone)]
pub struct Parts {
    /// This instance, as requests see it.
    pub site: web::Data<Site>,
    /// The sessions.
    pub sessions: Sessions,
    /// Who checks passwords.
    pub prover: Prover,
    /// Whether this node is ready.
    pub readiness: web::Data<Readiness>,
    /// How many sessions live.
    pub live: web::Data<LiveSessions>,
    /// What open pages are told.
    pub news: Hub,
}

/// Builds the application. From the outside in:
/// 1. `edge`: names the request, renders whatever goes wrong below, secures the headers of all that leaves.
/// 2. `request_facts`: verifies the session cookie and holds the request's facts, which the store needs.
/// 3. `origin`: refuses what another site caused, before any session is loaded.
/// 4. actix-session: loads the session once.
/// 5. actix-identity: who it is; it adds no I/O.
/// 6. `key_handover`: renews the cookies of a browser that did not get its new key.
pub fn build(
    parts: &Parts,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = actix_web::Error,
        InitError = (),
    > + use<>,
> {
    let mut routes = Routes::declare();
    let signed_in = web::scope("")
        .wrap(from_fn(key_handover::hand_over))
        .wrap(IdentityMiddleware::default())
        .wrap(session_layer(parts))
        .wrap(from_fn(origin::check))
        .wrap(from_fn(request_facts::wrap))
        .configure(|config| routes.add_with_session(config));
    App::new()
        .app_data(parts.site.clone())
        .app_data(web::Data::new(parts.sessions.clone()))
        .app_data(web::Data::new(parts.prover.clone()))
        .app_data(web::Data::new(parts.prover.hasher.clone()))
        .app_data(parts.readiness.clone())
        .app_data(parts.live.clone())
        .app_data(web::Data::new(parts.news.clone()))
        .app_data(json::config())
        .app_data(forms::config())
        .configure(|config| routes.add_without_session(config))
        .app_data(web::Data::new(routes.table))
        .service(signed_in)
        .wrap(from_fn(edge::answer))
}

/// Signed, HttpOnly, SameSite=Strict, for the whole origin; its age is the idle time, renewed with each touch.
fn session_layer(parts: &Parts) -> SessionMiddleware<Sessions> {
    let site = &parts.site;
    let idle = Duration::try_from(site.idle).unwrap_or(Duration::MAX);
    let lifecycle =
        PersistentSession::default().session_ttl(idle).session_ttl_extension_policy(TtlExtensionPolicy::OnStateChanges);
    SessionMiddleware::builder(parts.sessions.clone(), site.keys.cookie_key())
        .cookie_name(site.cookies.session.clone())
        .cookie_content_security(CookieContentSecurity::Signed)
        .cookie_http_only(true)
        .cookie_same_site(SameSite::Strict)
        .cookie_secure(site.cookies.secure())
        .cookie_path("/".into())
        .session_lifecycle(lifecycle)
        .build()
}
