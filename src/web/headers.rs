//! The security headers of every answer, including errors. Called by the outermost layer.
//!
//! Invariant: an answer without its own caching rule, or with a cookie, is not stored by any cache.

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
    web::{Bytes, BytesMut},
};

use crate::base::request_id::RequestId;

/// The headers of every answer. The content security policy allows no inline script or style, nothing from another
/// origin, and no framing.
const FIXED: [(HeaderName, HeaderValue); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
             connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; \
             frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
             magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-create=(self), \
             publickey-credentials-get=(self), usb=()",
        ),
    ),
];
/// A policy under which a document can run and load nothing. An answer with exactly this policy keeps it.
pub const INERT: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; sandbox",
);
/// The policies of what is never shown as a page: files, and answers of the API. The policies of pages are longer than
/// many of these answers.
const OF_PARTS: [(HeaderName, HeaderValue); 2] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
    ),
    (HeaderName::from_static("permissions-policy"), HeaderValue::from_static("camera=()")),
];
/// One year (RFC 6797).
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
/// What an answer of the gate depends on, besides the address.
const GATE_READS: HeaderValue = HeaderValue::from_static(
    "Cookie, Origin, Accept, Accept-Encoding, Upgrade, Access-Control-Request-Method, Sec-Fetch-Site, Sec-Fetch-Mode, Sec-Fetch-Dest, \
     Sec-WebSocket-Key, X-Requested-With, X-Unattended, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, \
     X-Forwarded-Method, X-Forwarded-Uri, X-Original-Method, X-Original-URL",
);
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// The header that carries the request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Copies a request's headers out of the read buffer, all into one allocation. Otherwise they would be slices of the
/// buffer that also held the body, and Actix keeps a request until its thread handles the next one: a password in the
/// body would stay in memory that long.
pub fn detach(headers: &mut HeaderMap) {
    let mut copies = BytesMut::with_capacity(headers.iter().map(|(_, value)| value.len()).sum());
    headers.retain(|_, value| {
        copies.extend_from_slice(value.as_bytes());
        // A copy of a valid value is valid.
        HeaderValue::from_maybe_shared(copies.split().freeze()).map(|copy| *value = copy).is_ok()
    });
}

/// The head of a stream of server-sent events (HTML, 9.2), which no proxy stores or holds back.
pub fn event_stream() -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"));
    answer
}

/// Where an answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// On our own origin.
    OwnOrigin { https: bool, is_page: bool },
    /// On an app's host. Whether it always has TLS is for the app to decide, so there is no HSTS. The answer may bring a
    /// content security policy of its own. Its address may contain a code, so it goes to nobody as `Referer`.
    AppHost,
    /// On an app's host, as an answer of the gate.
    Gate,
}

/// Sets the headers. An answer's own `Cache-Control` is kept; the default is `no-store`.
pub fn secure(headers: &mut HeaderMap, request_id: RequestId, shown: Shown) {
    headers.reserve(FIXED.len() + 3);
    let own_policy = headers.get(header::CONTENT_SECURITY_POLICY).cloned();
    for (name, value) in FIXED {
        headers.insert(name, value);
    }
    if matches!(shown, Shown::OwnOrigin { is_page: false, .. }) {
        for (name, value) in OF_PARTS {
            headers.insert(name, value);
        }
    }
    let is_at_app = matches!(shown, Shown::AppHost | Shown::Gate);
    if is_at_app {
        headers.insert(header::REFERRER_POLICY, NO_REFERRER);
    }
    if let Some(policy) = own_policy.filter(|policy| is_at_app || *policy == INERT) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if shown == Shown::Gate {
        headers.insert(header::VARY, GATE_READS);
    }
    if matches!(shown, Shown::OwnOrigin { https: true, .. }) {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(request_id.as_str().as_bytes())) {
        headers.insert(REQUEST_ID, value);
    }
    if !headers.contains_key(header::CACHE_CONTROL) || headers.contains_key(header::SET_COOKIE) {
        headers.insert(header::CACHE_CONTROL, NO_STORE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detached_headers_are_the_same_and_leave_the_buffer() {
        let buffer = Bytes::from_static(b"a=1b=2nosniff");
        let mut headers = HeaderMap::new();
        for (name, from, to) in
            [(header::COOKIE, 0, 3), (header::COOKIE, 3, 6), (header::HOST, 6, 13), (header::TE, 0, 0)]
        {
            headers.append(name, HeaderValue::from_maybe_shared(buffer.slice(from..to)).unwrap());
        }
        let before = headers.clone();
        detach(&mut headers);
        let texts = |headers: &HeaderMap| {
            let mut all: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            all.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
            all
        };
        assert_eq!(texts(&headers), texts(&before));
        assert_eq!(headers.get_all(header::COOKIE).map(HeaderValue::as_bytes).collect::<Vec<_>>(), [b"a=1", b"b=2"]);
        let range = buffer.as_ptr_range();
        assert!(headers.iter().all(|(_, value)| !range.contains(&value.as_bytes().as_ptr()) || value.is_empty()));
    }
}
