//! The security headers of every answer, including errors. Called by the outermost layer.
//!
//! Invariant: an answer without its own caching rule, or with a cookie, is not stored by any cache.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Allows no inline script or style, nothing from another origin, and no framing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";
const PERMISSIONS: &str = "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
     magnetometer=(), microphone=(), midi=(), payment=(), usb=()";
/// One year (RFC 6797).
const HSTS: &str = "max-age=31536000; includeSubDomains";
/// The header that carries the request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Copies a request's headers out of the read buffer. Otherwise they would be slices of the buffer that also held the
/// body, and Actix keeps a request until its thread handles the next one: a password in the body would stay in memory
/// that long.
pub fn detach(headers: &mut HeaderMap) {
    for (name, value) in std::mem::take(headers) {
        if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
            headers.append(name, copy);
        }
    }
}

/// Sets the headers. An answer's own `Cache-Control` is kept; the default is `no-store`.
pub fn secure(headers: &mut HeaderMap, request_id: &str, https: bool) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
    if !headers.contains_key(header::CACHE_CONTROL) || headers.contains_key(header::SET_COOKIE) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
