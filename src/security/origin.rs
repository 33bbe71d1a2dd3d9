//! The cross-origin check for unsafe methods: `Sec-Fetch-Site` if it is sent, else `Origin` if it is sent, else the
//! request needs a form token, or to be something that no form can send (JSON, PATCH, DELETE).
//! After the OWASP CSRF cheat sheet (Fetch Metadata with fallback to origin verification).
//!
//! Invariant: no handler of the API has to look at this, whether it reads a body or not.

use actix_web::{
    HttpMessage as _,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::Next,
    web,
};

use super::Site;
use crate::error::{Error, Result};

/// What a request has shown of where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// From our own origin, or from nobody's page.
    Shown,
    /// It said nothing: a form must then prove itself by its token.
    NeedsToken,
}

/// Refuses unsafe requests from elsewhere, and leaves the [`Proof`] for forms. The API takes no forms: there a request
/// that said nothing is refused, and so is a body that is not JSON.
pub async fn check(
    req: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let site = req.app_data::<web::Data<Site>>().ok_or_else(|| Error::bug("no site in this application"))?;
    let proof = judge(req.method(), req.headers(), site.public.origin())?;
    // As the router reads it, in which `/%61pi/` is the API too.
    if req.match_info().as_str().starts_with("/api/") && !req.method().is_safe() {
        judge_api(proof, req.headers())?;
    }
    req.extensions_mut().insert(proof);
    next.call(req).await
}

fn judge(method: &Method, headers: &header::HeaderMap, origin: &str) -> Result<Proof> {
    if method.is_safe() {
        return Ok(Proof::Shown);
    }
    let shown = |right: bool| if right { Ok(Proof::Shown) } else { Err(Error::CrossOrigin) };
    if let Some(site) = headers.get("sec-fetch-site") {
        return shown(site == "same-origin" || site == "none");
    }
    if let Some(from) = headers.get(header::ORIGIN) {
        return shown(from.as_bytes() == origin.as_bytes());
    }
    let beyond_forms = *method == Method::PATCH || *method == Method::DELETE || is_json(headers);
    Ok(if beyond_forms { Proof::Shown } else { Proof::NeedsToken })
}

fn judge_api(proof: Proof, headers: &header::HeaderMap) -> Result<()> {
    if has_body(headers) && !is_json(headers) {
        return Err(Error::UnsupportedMediaType("JSON (application/json)"));
    }
    if proof == Proof::Shown { Ok(()) } else { Err(Error::CrossOrigin) }
}

/// Whether a body follows the head (RFC 9112, 6).
fn has_body(headers: &header::HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// Whether the body says that it is JSON.
pub fn is_json(headers: &header::HeaderMap) -> bool {
    let essence = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    let is_json = |essence: &str| essence == "application/json" || essence.ends_with("+json");
    essence.is_some_and(|essence| is_json(&essence.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn the_rule_for_unsafe_methods() {
        let ours = "http://localhost:8080";
        let form = ("content-type", "application/x-www-form-urlencoded");
        let json = ("content-type", "application/json; charset=utf-8");
        type Sent<'a> = &'a [(&'static str, &'a str)];
        let cases: &[(Method, Sent<'_>, Option<Proof>)] = &[
            (Method::GET, &[("sec-fetch-site", "cross-site")], Some(Proof::Shown)),
            (Method::HEAD, &[("origin", "http://evil.example")], Some(Proof::Shown)),
            (Method::POST, &[("sec-fetch-site", "same-origin"), form], Some(Proof::Shown)),
            (Method::POST, &[("sec-fetch-site", "none"), form], Some(Proof::Shown)),
            (Method::POST, &[("sec-fetch-site", "same-site"), form], None),
            (Method::POST, &[("sec-fetch-site", "cross-site"), ("origin", ours), json], None),
            (
                Method::POST,
                &[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8080")],
                Some(Proof::Shown),
            ),
            (Method::POST, &[("sec-fetch-site", ""), json], None),
            (Method::POST, &[("origin", ours), form], Some(Proof::Shown)),
            (Method::POST, &[("origin", "null"), json], None),
            (Method::POST, &[("origin", "http://localhost:8081"), json], None),
            (Method::DELETE, &[("origin", "http://evil.example")], None),
            (Method::POST, &[form], Some(Proof::NeedsToken)),
            (Method::POST, &[], Some(Proof::NeedsToken)),
            (Method::POST, &[("content-type", "text/plain")], Some(Proof::NeedsToken)),
            (Method::POST, &[json], Some(Proof::Shown)),
            (Method::POST, &[("content-type", "application/merge-patch+json")], Some(Proof::Shown)),
            (Method::PATCH, &[form], Some(Proof::Shown)),
            (Method::DELETE, &[], Some(Proof::Shown)),
            (Method::PUT, &[], Some(Proof::NeedsToken)),
        ];
        for (method, sent, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in *sent {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(judge(method, &headers, ours).ok(), *expected, "{method} {sent:?}");
        }
    }
}
