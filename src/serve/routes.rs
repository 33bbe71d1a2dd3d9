//! Every address on one page.

use actix_identity::Identity;
use actix_web::{
    HttpResponse, Resource, Route, guard,
    web::{self, ServiceConfig},
};

use crate::{
    base::{
        assets,
        error::{Error, Methods, Result},
    },
    pages::{account, activity, dashboard, devices, drafts, events, login, ops, pwa, session_data, sync},
    web::{forms, json, layout, return_to::HOME},
};

/// What works without a session, and without a database.
pub fn without_session(config: &mut ServiceConfig) {
    config
        .service(resource("/healthz", GET).route(get().to(ops::healthz)))
        .service(resource("/readyz", GET).route(get().to(ops::readyz)))
        .service(resource("/metrics", GET).route(get().to(ops::metrics)))
        .service(resource("/manifest.webmanifest", GET).route(get().to(pwa::manifest)))
        .service(resource("/sw.js", GET).route(get().to(pwa::worker)))
        .service(resource("/offline", GET).route(get().to(pwa::shell)))
        .service(resource("/.well-known/change-password", GET).route(get().to(change_password)))
        .service(web::resource("/static/{name:.*}").route(get().to(assets::serve)));
}

/// Pages and API.
pub fn with_session(config: &mut ServiceConfig) {
    config
        .service(resource("/", GET).route(get().to(start)))
        .service(
            resource("/setup", GET_POST)
                .route(get().to(login::setup::show))
                .route(web::post().to(login::setup::submit)),
        )
        .service(
            resource("/login", GET_POST).route(get().to(login::page::show)).route(web::post().to(login::page::submit)),
        )
        .service(
            resource("/signup", GET_POST)
                .route(get().to(login::signup::show))
                .route(web::post().to(login::signup::submit)),
        )
        .service(
            resource("/confirm", GET_POST)
                .route(get().to(login::confirm::show))
                .route(web::post().to(login::confirm::submit)),
        )
        .service(resource("/logout", "POST").route(web::post().to(login::logout::submit)))
        .service(resource("/dashboard", GET).route(get().to(dashboard::show)))
        .service(resource("/account", GET_POST).route(get().to(account::show)).route(web::post().to(account::submit)))
        .service(
            resource("/devices", GET_POST)
                .route(get().to(devices::page::show))
                .route(web::post().to(devices::page::submit)),
        )
        .service(
            resource("/drafts", GET_POST)
                .app_data(forms::config_of(drafts::LARGEST_FORM))
                .route(get().to(drafts::show))
                .route(web::post().to(drafts::submit)),
        )
        .service(resource("/activity", GET).route(get().to(activity::page::show)))
        .service(resource("/api/establish-session", "POST").route(web::post().to(login::api::establish)))
        .service(
            resource("/api/session", "GET, HEAD, DELETE")
                .route(get().to(login::api::show))
                .route(web::delete().to(login::api::log_out)),
        )
        .service(
            resource("/api/session/sync", "POST")
                .app_data(json::config_of(sync::LARGEST))
                .route(web::post().to(sync::sync)),
        )
        .service(resource("/api/drafts", GET).route(get().to(sync::drafts)))
        .service(resource("/api/events", GET).route(get().to(events::events)))
        .service(
            resource("/api/session/data", "GET, HEAD, PATCH")
                .route(get().to(session_data::show))
                .route(web::patch().to(session_data::patch)),
        )
        .service(resource("/api/activity", GET).route(get().to(activity::api::list)))
        .service(resource("/api/sessions", GET).route(get().to(devices::api::sessions)))
        .service(resource("/api/sessions/revoke-others", "POST").route(web::post().to(devices::api::end_others)))
        .service(resource("/api/sessions/{id}", "DELETE").route(web::delete().to(devices::api::end_session)))
        .service(resource("/api/devices", GET).route(get().to(devices::api::devices)))
        .service(
            resource("/api/devices/{id}", "PATCH, DELETE")
                .route(web::patch().to(devices::api::rename))
                .route(web::delete().to(devices::api::forget)),
        )
        .default_service(web::to(nothing));
}

const GET: Methods = "GET, HEAD";
const GET_POST: Methods = "GET, HEAD, POST";

/// An address, and the methods it takes: others are told (RFC 9110, 15.5.6).
fn resource(path: &str, methods: Methods) -> Resource {
    let refuse = move || async move { Err::<HttpResponse, _>(Error::MethodNotAllowed(methods)) };
    web::resource(path).default_service(web::to(refuse))
}

/// GET and HEAD alike (RFC 9110, 9.3.2).
fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// `GET /`: to the dashboard or the login.
async fn start(who: Option<Identity>) -> HttpResponse {
    layout::see_other(if who.is_some() { HOME } else { "/login" })
}

/// `GET /.well-known/change-password`: where password managers send people (W3C, A Well-Known URL for Changing Passwords).
async fn change_password() -> HttpResponse {
    layout::see_other("/account")
}

async fn nothing() -> Result<HttpResponse> {
    Err(Error::NotFound)
}
