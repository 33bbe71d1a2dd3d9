//! What a proxy asks about: the request that a browser or another program sent to an app.
//!
//! Invariant: a request whose method is not known counts as one that changes something.

use actix_web::http::header::{self, HeaderMap, HeaderName};

use crate::web::{
    forwarded::{Forwarded, target_at},
    header_names::{SEC_FETCH_DEST, SEC_FETCH_MODE, SEC_FETCH_SITE, SEC_WEBSOCKET_KEY, X_REQUESTED_WITH},
};

/// The request to the app.
#[derive(Debug)]
pub struct Asked {
    method: Option<String>,
    target: String,
    pub is_navigation: bool,
    /// Whether a person reads the answer, in a frame or after sending a form.
    pub is_for_people: bool,
    is_frame: bool,
    is_upgrade: bool,
}

/// Whose page caused the request, as far as that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOrigin {
    /// The app's own, or it does not matter.
    App,
    /// A page of another origin.
    Elsewhere,
    /// The request changes something, and does not say where it came from.
    Unknown,
}

impl Asked {
    pub fn new(forwarded: &Forwarded, headers: &HeaderMap) -> Self {
        let value = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let (mode, dest) = (value(SEC_FETCH_MODE), value(SEC_FETCH_DEST));
        let method = forwarded.method.clone();
        let reads = matches!(method.as_deref(), Some("GET" | "HEAD"));
        let takes_html = value(header::ACCEPT).is_some_and(|accepted| accepted.contains("text/html"));
        let is_seen = match (mode, dest) {
            (None, None) => takes_html && value(X_REQUESTED_WITH).is_none(),
            (mode, _) => mode == Some("navigate"),
        };
        let in_document = (mode, dest) == (None, None) || dest == Some("document");
        let is_upgrade = headers.contains_key(header::UPGRADE)
            || headers.contains_key(SEC_WEBSOCKET_KEY)
            || mode == Some("websocket");
        Self {
            is_navigation: reads && is_seen && in_document && !is_upgrade,
            is_for_people: is_seen,
            is_frame: reads && is_seen && !in_document,
            is_upgrade,
            target: forwarded.target.clone().unwrap_or_else(|| "/".to_owned()),
            method,
        }
    }

    /// The path and query to return to, at the app's origin. A form cannot be sent again by an address.
    pub fn target(&self, origin: &str) -> String {
        target_at(origin, &self.target)
    }

    /// The path as the proxy received it.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub fn is_frame(&self) -> bool {
        self.is_frame
    }

    /// Whether a browser asks if a request from another origin is allowed (Fetch, CORS-preflight request).
    pub fn is_preflight(&self, headers: &HeaderMap) -> bool {
        self.method.as_deref() == Some("OPTIONS")
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// Where an unsafe request or an upgrade came from. `SameSite=Lax` alone does not tell: pages of sibling hosts are of
    /// the same site, and browsers send Lax cookies with upgrades.
    pub fn from(&self, origin: &str, headers: &HeaderMap) -> RequestOrigin {
        let is_safe = matches!(self.method.as_deref(), Some("GET" | "HEAD" | "OPTIONS" | "TRACE"));
        if is_safe && !self.is_upgrade {
            return RequestOrigin::App;
        }
        if let Some(site) = headers.get(SEC_FETCH_SITE) {
            return if site == "same-origin" || site == "none" { RequestOrigin::App } else { RequestOrigin::Elsewhere };
        }
        match headers.get(header::ORIGIN) {
            Some(from) if from.as_bytes() == origin.as_bytes() => RequestOrigin::App,
            Some(_) => RequestOrigin::Elsewhere,
            None => RequestOrigin::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    const APP: &str = "https://shop.example.com";

    fn asked(method: Option<&str>, sent: &[(&str, &str)]) -> (Asked, HeaderMap) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let method = method.map(str::to_owned);
        let target = Some("/a?b=c".to_owned());
        let forwarded = Forwarded { origin: Some(APP.to_owned()), method, target, is_consistent: true };
        (Asked::new(&forwarded, &headers), headers)
    }

    #[test]
    fn a_navigation_is_recognized() {
        let html = ("accept", "text/html,*/*;q=0.8");
        let (navigate, document) = (("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"));
        type Sent<'a> = &'a [(&'a str, &'a str)];
        let cases: &[(Option<&str>, Sent<'_>, [bool; 3])] = &[
            (Some("GET"), &[navigate, document], [true, true, false]),
            (Some("HEAD"), &[navigate, document, html], [true, true, false]),
            (Some("GET"), &[html], [true, true, false]),
            (Some("POST"), &[navigate, document, html], [false, true, false]),
            (Some("POST"), &[html], [false, true, false]),
            (Some("GET"), &[navigate, ("sec-fetch-dest", "iframe")], [false, true, true]),
            (Some("GET"), &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), html], [false, false, false]),
            (Some("GET"), &[html, ("x-requested-with", "XMLHttpRequest")], [false, false, false]),
            (Some("GET"), &[("accept", "*/*")], [false, false, false]),
            (Some("GET"), &[("sec-fetch-mode", "websocket"), ("sec-fetch-dest", "empty")], [false, false, false]),
            (None, &[navigate, document], [false, true, false]),
        ];
        for (method, sent, expected) in cases {
            let (asked, _) = asked(*method, sent);
            assert_eq!([asked.is_navigation, asked.is_for_people, asked.is_frame], *expected, "{method:?} {sent:?}");
        }
    }

    #[test]
    fn an_unsafe_request_shows_where_it_came_from() {
        use RequestOrigin::{App, Elsewhere, Unknown};
        let site = |site| ("sec-fetch-site", site);
        let socket = ("sec-websocket-key", "x");
        type Sent<'a> = &'a [(&'a str, &'a str)];
        let cases: &[(Option<&str>, Sent<'_>, RequestOrigin)] = &[
            (Some("GET"), &[site("cross-site")], App),
            (Some("OPTIONS"), &[("origin", "https://evil.example")], App),
            (Some("POST"), &[site("same-origin")], App),
            (Some("POST"), &[site("same-site")], Elsewhere),
            (Some("POST"), &[site("cross-site"), ("origin", APP)], Elsewhere),
            (Some("DELETE"), &[("origin", APP)], App),
            (Some("DELETE"), &[("origin", "https://evil.example")], Elsewhere),
            (Some("POST"), &[("origin", "null")], Elsewhere),
            (Some("POST"), &[], Unknown),
            (Some("get"), &[], Unknown),
            (None, &[], Unknown),
            (Some("GET"), &[socket], Unknown),
            (Some("GET"), &[("upgrade", "websocket"), ("origin", "https://evil.example")], Elsewhere),
            (Some("GET"), &[socket, ("origin", APP)], App),
        ];
        for (method, sent, expected) in cases {
            let (asked, headers) = asked(*method, sent);
            assert_eq!(asked.from(APP, &headers), *expected, "{method:?} {sent:?}");
        }
    }
}
