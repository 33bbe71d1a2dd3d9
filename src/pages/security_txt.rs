//! `/.well-known/security.txt`: where to report a security problem (RFC 9116). Called by the routes.

use std::time::Duration;

use actix_web::{HttpResponse, http::header, web};

use crate::{
    base::error::{Error, Result},
    records::session::Sessions,
    web::site::Site,
};

/// How long a copy of the file is valid.
const VALID: Duration = Duration::from_secs(90 * 86_400);

/// `GET /.well-known/security.txt`
///
/// # Errors
/// [`Error::NotFound`] if the operator has set no contact.
pub async fn show(site: web::Data<Site>, sessions: web::Data<Sessions>) -> Result<HttpResponse> {
    let contact = site.brand.contact.as_ref().ok_or(Error::NotFound)?;
    let origin = site.public.origin();
    // The sign-in page shows a contact that is not an address.
    let login = format!("{origin}/login");
    let text = format!(
        "Contact: {}\nExpires: {}\nPreferred-Languages: en\nCanonical: {origin}/.well-known/security.txt\n",
        contact.link().unwrap_or(&login),
        sessions.clock.now().plus(VALID).rfc3339(),
    );
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=86400"))
        .content_type("text/plain; charset=utf-8")
        .body(text))
}
