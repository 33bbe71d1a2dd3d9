//! `/.well-known/jwks.json`: the public keys with which apps verify assertions (RFC 7517). Called by the routes.

use actix_web::{HttpResponse, http::header, web};

use crate::web::site::Site;

/// Longer than an assertion is valid, and short enough that a new key is known soon.
const CACHED: &str = "public, max-age=300";

/// `GET /.well-known/jwks.json`
pub async fn show(site: web::Data<Site>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, CACHED))
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .json(site.identity.public())
}
