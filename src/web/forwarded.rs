//! What a trusted proxy says about the request that it passes on, or asks about: the origin at which the browser opened it,
//! its method and its address. Called by the gate and by the pages on apps' hosts.
//!
//! Invariant: nothing is believed unless the peer is a trusted proxy, and `Host` is never read. What is missing, double or
//! malformed is `None`.

use actix_web::{
    HttpRequest,
    http::header::{HeaderMap, HeaderName},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::web::{
    header_names::{
        X_FORWARDED_HOST, X_FORWARDED_METHOD, X_FORWARDED_PROTO, X_FORWARDED_URI, X_ORIGINAL_METHOD, X_ORIGINAL_URL,
    },
    proxies,
    site::Site,
};

/// The longest address in an app that is kept. A longer one leads to the start page of the app.
const LONGEST_TARGET: usize = 1500;
/// What has a meaning of its own in the value of a query's parameter.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The request that a browser sent to a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// As browsers send it in `Origin`.
    pub origin: Option<String>,
    pub method: Option<String>,
    /// The path and query as the proxy received them, not checked.
    pub target: Option<String>,
    /// Whether both pairs of headers say the same, if both came. A proxy that sets one pair may pass on the other as a
    /// client made it up.
    pub is_consistent: bool,
}

impl Forwarded {
    pub fn of(req: &HttpRequest, site: &Site) -> Self {
        match req.peer_addr().is_some_and(|peer| proxies::is_trusted(peer.ip(), &site.proxies)) {
            true => Self::believed(req.headers()),
            false => Self { origin: None, method: None, target: None, is_consistent: false },
        }
    }

    fn believed(headers: &HeaderMap) -> Self {
        let usual = headers.contains_key(X_FORWARDED_METHOD) || headers.contains_key(X_FORWARDED_URI);
        let forwarded = (single(headers, X_FORWARDED_METHOD), single(headers, X_FORWARDED_URI).map(str::to_owned));
        let original = (single(headers, X_ORIGINAL_METHOD), single(headers, X_ORIGINAL_URL).and_then(without_origin));
        let is_consistent = !usual
            || (!headers.contains_key(X_ORIGINAL_METHOD) || original.0 == forwarded.0)
                && (!headers.contains_key(X_ORIGINAL_URL) || original.1 == forwarded.1);
        let (method, target) = if usual { forwarded } else { original };
        Self { origin: origin(headers), method: method.map(str::to_owned), target, is_consistent }
    }
}

/// The only value of a header.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name);
    let value = values.next()?.to_str().ok()?.trim();
    values.next().is_none().then_some(value)
}

fn origin(headers: &HeaderMap) -> Option<String> {
    let host = single(headers, X_FORWARDED_HOST)?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    if host.is_empty() || !host.bytes().all(is_plain) {
        return None;
    }
    // Each proxy of a chain appends its own protocol. The last is the one that asks.
    let protocols = single(headers, X_FORWARDED_PROTO)?.to_ascii_lowercase();
    let protocol = protocols.rsplit(',').next().map(str::trim).filter(|one| matches!(*one, "http" | "https"))?;
    let url = Url::parse(&format!("{protocol}://{host}/")).ok()?;
    Some(url.origin().ascii_serialization())
}

/// `X-Original-URL` holds a path or a whole URL, depending on the proxy.
fn without_origin(url: &str) -> Option<String> {
    match url.starts_with('/') {
        true => Some(url.to_owned()),
        false => Url::parse(url).ok().map(|url| path_and_query(&url)),
    }
}

/// The path and query at an app's origin that `to` names; `/` for anything else.
pub fn target_at(origin: &str, to: &str) -> String {
    let own = || "/".to_owned();
    let names_a_path = to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\");
    if !names_a_path || to.len() > LONGEST_TARGET || to.chars().any(char::is_control) {
        return own();
    }
    let resolved = Url::parse(origin).and_then(|origin| origin.join(to));
    match resolved {
        Ok(url) if url.origin().ascii_serialization() == origin && !is_ours(url.path()) => path_and_query(&url),
        _ => own(),
    }
}

/// A text as the value of a parameter in a query.
pub fn in_query(text: &str) -> String {
    utf8_percent_encode(text, IN_QUERY).to_string()
}

/// Whether a path on an app's host belongs to Sessile, so that nobody can want to go on to it.
fn is_ours(path: &str) -> bool {
    path.split('/').nth(1) == Some(".sessile")
}

fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn believed(sent: &[(&str, &str)]) -> Forwarded {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        Forwarded::believed(&headers)
    }

    #[test]
    fn the_origin_comes_from_one_host_and_the_last_protocol() {
        let origin = |host: &str, proto: &str| {
            believed(&[("x-forwarded-host", host), ("x-forwarded-proto", proto), ("host", "other.example")]).origin
        };
        let shop = Some("https://shop.example.com".to_owned());
        assert_eq!(origin("shop.example.com", "https"), shop);
        assert_eq!(origin("Shop.Example.com:443", "http, HTTPS"), shop);
        assert_eq!(origin("localhost:3000", "http").as_deref(), Some("http://localhost:3000"));
        assert_eq!(origin("[::1]:3000", "http").as_deref(), Some("http://[::1]:3000"));
        for host in ["", "shop.example.com, evil.example", "kim@shop.example.com", "shop.example.com/a", "a b", "x:y"] {
            assert_eq!(origin(host, "https"), None, "{host}");
        }
        assert_eq!(origin("shop.example.com", "ftp"), None);
        assert_eq!(believed(&[("x-forwarded-proto", "https"), ("host", "shop.example.com")]).origin, None);
        let double = [
            ("x-forwarded-host", "shop.example.com"),
            ("x-forwarded-host", "shop.example.com"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(believed(&double).origin, None);
    }

    #[test]
    fn the_original_headers_count_only_without_the_forwarded_ones() {
        let original = [("x-original-url", "https://shop.example.com/a?b=c"), ("x-original-method", "POST")];
        let found = believed(&original);
        assert_eq!((found.method.as_deref(), found.target.as_deref()), (Some("POST"), Some("/a?b=c")));
        let both = believed(&[&original[..], &[("x-forwarded-uri", "/d")]].concat());
        assert_eq!((both.method, both.target.as_deref()), (None, Some("/d")));
        let both = believed(&[&original[..], &[("x-forwarded-method", "GET")]].concat());
        assert_eq!((both.method.as_deref(), both.target), (Some("GET"), None));
    }

    #[test]
    fn pairs_that_differ_are_noticed() {
        let original = [("x-original-url", "https://shop.example.com/a?b=c"), ("x-original-method", "POST")];
        let with = |more: &[(&str, &str)]| believed(&[&original[..], more].concat()).is_consistent;
        assert!(with(&[]) && with(&[("x-forwarded-uri", "/a?b=c"), ("x-forwarded-method", "POST")]));
        assert!(!with(&[("x-forwarded-uri", "/.sessile/echo"), ("x-forwarded-method", "POST")]));
        assert!(!with(&[("x-forwarded-uri", "/a?b=c"), ("x-forwarded-method", "OPTIONS")]));
        assert!(believed(&[("x-forwarded-uri", "/a"), ("x-forwarded-method", "GET")]).is_consistent);
    }

    #[test]
    fn a_target_is_always_at_the_apps_origin() {
        let at = |to: &str| target_at("https://shop.example.com", to);
        for same in ["/", "/a", "/a/b?c=d&e", "/a?to=https://x.example/", "/%2F%2Fevil.example"] {
            assert_eq!(at(same), same);
        }
        assert_eq!((at("/a#b"), at("/a/../b"), at("/ä")), ("/a".to_owned(), "/b".to_owned(), "/%C3%A4".to_owned()));
        for other in [
            "",
            "a",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/a\nb",
            "/.sessile/start?to=/",
            "/x/../.sessile/sign-out",
            "\\\\evil.example",
            " /a",
        ] {
            assert_eq!(at(other), "/", "{other:?}");
        }
        assert_eq!(at(&format!("/{}", "x".repeat(LONGEST_TARGET))), "/");
    }
}
