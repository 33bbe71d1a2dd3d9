//! Assembles the application and its middleware. Called by the listener and by tests.
//!
//! Invariant: `serve` and the tests use the same application.

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
    pages::{
        apps::Feeds,
        ops::{LiveSessions, Readiness},
        pwa,
    },
    records::{
        app::{Apps, Usage},
        hub::Hub,
        session::Sessions,
    },
    serve::routes::Routes,
    web::{edge, forms, json, key_handover, origin, request_facts, site::Site},
};

/// The parts of an application. Cheap to clone; all workers share the same parts.
#[derive(Clone)]
pub struct Parts {
    pub site: web::Data<Site>,
    pub sessions: Sessions,
    /// Checks passwords.
    pub prover: Prover,
    pub readiness: web::Data<Readiness>,
    /// Counts live sessions.
    pub live: web::Data<LiveSessions>,
    /// Delivers events to open pages.
    pub hub: Hub,
    /// The protected apps.
    pub apps: Apps,
    /// When apps were used.
    pub usage: Usage,
    /// The streams to apps' servers.
    pub feeds: web::Data<Feeds>,
    /// The manifest, the worker and the offline page.
    pub documents: web::Data<pwa::Documents>,
}

/// Builds the application. The middleware, outermost first:
/// 1. `edge`: gives the request an id, renders errors, and adds the security headers to every response.
/// 2. `request_facts`: verifies the session cookie and collects the facts about the request that the store needs.
/// 3. `origin`: refuses requests from other sites before a session is loaded.
/// 4. actix-session: loads the session once.
/// 5. actix-identity: reads the identity from the loaded session, without I/O.
/// 6. `key_handover`: sends the new session key again to a browser that did not receive it.
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
        .wrap_fn(key_handover::hand_over)
        .wrap(IdentityMiddleware::default())
        .wrap(session_layer(parts))
        .wrap_fn(origin::check)
        .wrap_fn(request_facts::wrap)
        .configure(|config| routes.add_with_session(config));
    App::new()
        .app_data(web::Data::new(Site::clone(&parts.site)))
        .app_data(web::Data::new(parts.sessions.clone()))
        .app_data(web::Data::new(parts.prover.clone()))
        .app_data(web::Data::new(parts.prover.hasher.clone()))
        .app_data(parts.readiness.clone())
        .app_data(parts.live.clone())
        .app_data(web::Data::new(parts.hub.clone()))
        .app_data(web::Data::new(parts.apps.clone()))
        .app_data(web::Data::new(parts.usage.clone()))
        .app_data(parts.feeds.clone())
        .app_data(parts.documents.clone())
        .app_data(json::config())
        .app_data(forms::config())
        .configure(|config| routes.add_without_session(config))
        .app_data(web::Data::new(routes.table))
        .service(signed_in)
        .wrap(from_fn(edge::answer))
}

/// Configures the session cookie: signed, HttpOnly, SameSite=Strict, for the whole origin. Its maximum age is the idle
/// time, renewed with each touch.
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
