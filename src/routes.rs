//! Every address on one page.

use actix_identity::Identity;
use actix_web::{
    Route, guard,
    web::{self, ServiceConfig},
};

use crate::{
    assets, dashboard,
    error::{Error, Result},
    login, ops, page,
    session::guard::HOME,
};

/// What works without a session, and without a database.
pub fn without_session(config: &mut ServiceConfig) {
    config
        .service(web::resource("/healthz").route(get().to(ops::healthz)))
        .service(web::resource("/static/{name:.*}").route(get().to(assets::serve)));
}

/// Pages and API.
pub fn with_session(config: &mut ServiceConfig) {
    config
        .service(web::resource("/").route(get().to(start)))
        .service(
            web::resource("/setup").route(get().to(login::setup::show)).route(web::post().to(login::setup::submit)),
        )
        .service(web::resource("/login").route(get().to(login::page::show)).route(web::post().to(login::page::submit)))
        .service(web::resource("/logout").route(web::post().to(login::page::log_out)))
        .service(web::resource("/dashboard").route(get().to(dashboard::show)))
        .service(web::resource("/api/establish-session").route(web::post().to(login::api::establish)))
        .service(
            web::resource("/api/session")
                .route(get().to(login::api::show))
                .route(web::delete().to(login::api::log_out)),
        )
        .service(
            web::resource("/api/session/data")
                .route(get().to(login::api::show_data))
                .route(web::patch().to(login::api::patch_data)),
        )
        .default_service(web::to(nothing));
}

/// GET and HEAD alike (RFC 9110, 9.3.2).
fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// `GET /`: to the dashboard or the login.
async fn start(who: Option<Identity>) -> actix_web::HttpResponse {
    page::see_other(if who.is_some() { HOME } else { "/login" })
}

async fn nothing() -> Result<actix_web::HttpResponse> {
    Err(Error::NotFound)
}
