//! The cross-origin check for unsafe methods. It uses `Sec-Fetch-Site`, or else `Origin`. A request with neither header
//! needs a form token, or must be a request that no form can send (JSON, PATCH, DELETE). Called as a layer above the
//! handlers. Follows the OWASP CSRF cheat sheet (Fetch Metadata with fallback to origin verification).
//!
//! Invariant: a handler of the API never has to check the origin itself, whether it reads a body or not.

use actix_web::{
    HttpMessage as _,
    dev::{Service, ServiceRequest, ServiceResponse},
    http::{Method, header},
    web,
};
use futures_util::future::{Either, Ready, ready};
use url::Url;

use crate::base::{
    error::{Error, Origins, Result},
    settings::PublicUrl,
};
use crate::web::{
    header_names::SEC_FETCH_SITE,
    route::{Kind, RouteTable},
    site::Site,
};

/// A host name of 253 characters (RFC 1035, 2.3.4), plus scheme and port.
const LONGEST_ORIGIN: usize = 270;

/// The result of the check for a request that is not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The request came from our own origin, or no other site's page can have sent it.
    Shown,
    /// The request has no origin headers, so a form must prove itself by its token.
    NeedsToken,
}

/// Refuses unsafe requests from other origins and stores the [`Proof`] for the form extractor. The API takes no forms,
/// so it also refuses requests without proof and bodies that are not JSON.
pub fn check<Next, Body>(
    req: ServiceRequest,
    next: &Next,
) -> Either<Next::Future, Ready<Result<ServiceResponse<Body>, actix_web::Error>>>
where
    Next: Service<ServiceRequest, Response = ServiceResponse<Body>, Error = actix_web::Error>,
{
    // No other site can change anything with a safe method.
    let checked = if req.method().is_safe() { Ok(()) } else { check_unsafe(&req) };
    match checked {
        Ok(()) => Either::Left(next.call(req)),
        Err(error) => Either::Right(ready(Err(error.into()))),
    }
}

fn check_unsafe(req: &ServiceRequest) -> Result<()> {
    let site = req.app_data::<web::Data<Site>>().ok_or_else(|| Error::bug("no site in this application"))?;
    let routes = req.app_data::<web::Data<RouteTable>>().ok_or_else(|| Error::bug("no routes in this application"))?;
    let refused = || Error::CrossOrigin(origins(req.headers(), &site.public));
    let proof = proof_of(req.method(), req.headers(), site.public.origin()).ok_or_else(refused)?;
    // Match the decoded path, as the router does: `/%61pi/` belongs to the API too.
    let kind = routes.find(req.match_info().as_str()).kind;
    if kind == Kind::Api {
        if has_body(req.headers()) && !is_json(req.headers()) {
            return Err(Error::UnsupportedMediaType("JSON (application/json)"));
        }
        if proof != Proof::Shown {
            return Err(refused());
        }
    }
    req.extensions_mut().insert(proof);
    Ok(())
}

/// The proof that the request gives; `None` if another site caused it.
pub fn proof_of(method: &Method, headers: &header::HeaderMap, origin: &str) -> Option<Proof> {
    if method.is_safe() {
        return Some(Proof::Shown);
    }
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return (site == "same-origin" || site == "none").then_some(Proof::Shown);
    }
    if let Some(from) = headers.get(header::ORIGIN) {
        return (from.as_bytes() == origin.as_bytes()).then_some(Proof::Shown);
    }
    let beyond_forms = *method == Method::PATCH || *method == Method::DELETE || is_json(headers);
    Some(if beyond_forms { Proof::Shown } else { Proof::NeedsToken })
}

/// The origins named in the refusal. `from` is set only if the client sent a well-formed http or https origin, so that
/// no other text of the client gets into pages and logs.
pub fn origins(headers: &header::HeaderMap, public: &PublicUrl) -> Origins {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let from = text(header::ORIGIN).filter(|sent| sent.len() <= LONGEST_ORIGIN && is_origin(sent));
    let at = from.and_then(|from| from.split_once("://")).map(|(_, at)| at);
    let is_ours = at.is_some_and(|at| {
        at.eq_ignore_ascii_case(public.host()) || text(header::HOST).is_some_and(|host| at.eq_ignore_ascii_case(host))
    });
    Origins {
        is_ours: is_ours && from != Some(public.origin()),
        from: from.map(str::to_owned),
        public: public.origin().to_owned(),
        is_for_app: false,
    }
}

/// Whether a text is an origin in the form that browsers send.
fn is_origin(text: &str) -> bool {
    text.starts_with("http") && Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text)
}

/// Whether a body follows the head (RFC 9112, 6).
fn has_body(headers: &header::HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// Whether the content type is JSON.
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
            assert_eq!(proof_of(method, &headers, ours), *expected, "{method} {sent:?}");
        }
    }

    #[test]
    fn only_whole_origins_are_named() {
        let public = PublicUrl::localhost(8080, false);
        let named = |origin: &str, host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            let found = origins(&headers, &public);
            (found.from, found.is_ours)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(named("https://localhost:8080", "localhost:8080"), (some("https://localhost:8080"), true));
        assert_eq!(named("http://10.0.0.7:8080", "10.0.0.7:8080"), (some("http://10.0.0.7:8080"), true));
        assert_eq!(named("http://localhost:8080", "localhost:8080"), (some("http://localhost:8080"), false));
        assert_eq!(named("http://evil.example", "localhost:8080"), (some("http://evil.example"), false));
        let long = format!("http://{}.example", "a".repeat(300));
        for odd in ["null", "", "http://evil.example/path", "javascript:alert(1)", "Call 555 now", "data:,x", &long] {
            assert_eq!(named(odd, "localhost:8080"), (None, false), "{odd}");
        }
    }
}
