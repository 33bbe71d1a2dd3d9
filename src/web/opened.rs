//! Finds out under which origin a browser opened a page, from the connection, the proxies' headers and the browser's
//! own headers. A page tells its reader about a wrong origin. If a proxy passes on the wrong `Host`, only the operator
//! can fix that, so it is counted and logged instead. Called by the outermost layer once per request, and by pages.
//!
//! Invariant: the result only selects messages and grants nothing. A page reports a wrong origin only if it is certain.

use actix_web::{
    HttpRequest,
    http::{
        Uri, Version,
        header::{self, HeaderMap, HeaderName},
    },
};
use url::Url;

use crate::web::{
    header_names::{SEC_FETCH_SITE, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, X_REAL_IP},
    proxies,
    site::Site,
};

/// Headers that a proxy adds to a request.
const FORWARDING: [HeaderName; 7] =
    [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST, X_FORWARDED_PORT, X_REAL_IP, header::FORWARDED, header::VIA];

/// The result of [`place_of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// Opened under the public origin, or the origin cannot be determined.
    Here,
    /// Certainly opened under another origin. The page says so.
    Elsewhere,
    /// A proxy passed on another `Host` than the browser sent.
    BehindWrongHost,
}

/// Counts and logs a request that a proxy passed on with another `Host` than the browser's.
pub fn note_wrong_host(req: &HttpRequest, site: &Site) {
    if place_of(req, site) == Opened::BehindWrongHost {
        let host = host(req.uri(), req.headers()).unwrap_or_default();
        site.wrong_hosts.note(host, site.public.origin());
    }
}

/// Where the page was opened.
pub fn place_of(req: &HttpRequest, site: &Site) -> Opened {
    let Some(host) = host(req.uri(), req.headers()) else { return Opened::Here };
    let host_is_right = is_host_of(host, site);
    let origin = browser_origin(req.headers(), host, site);
    if origin.as_deref() == Some(site.public.origin()) {
        return if host_is_right { Opened::Here } else { Opened::BehindWrongHost };
    }
    if !host_is_right {
        return if site.wrong_hosts.is_known(host) { Opened::BehindWrongHost } else { place_of_host(req, site, host) };
    }
    match scheme(req, site, host, origin.as_deref()) {
        Some(is_https) if is_https != site.public.is_https() => Opened::Elsewhere,
        _ => Opened::Here,
    }
}

/// Whether the browser opened this host, which is not the public one, or a proxy uses it to reach us.
fn place_of_host(req: &HttpRequest, site: &Site, host: &str) -> Opened {
    if !is_passed_on(req, site) {
        return Opened::Elsewhere;
    }
    let forwarded = req.headers().get(X_FORWARDED_HOST).and_then(|value| value.to_str().ok());
    match forwarded.and_then(|hosts| hosts.split(',').next()).map(str::trim) {
        Some(forwarded) if is_host_of(forwarded, site) => Opened::BehindWrongHost,
        None if is_name_of_upstream(host, site.port) => Opened::BehindWrongHost,
        _ => Opened::Elsewhere,
    }
}

/// Whether the browser used https, if that is certain. If the public origin is http, it may also be taken for http
/// where it is not certain: a page opened under the public origin is reported only if it was certainly opened by https.
fn scheme(req: &HttpRequest, site: &Site, host: &str, origin: Option<&str>) -> Option<bool> {
    if site.serves_tls {
        return Some(true);
    }
    if is_from_trusted_proxy(req, site) {
        let protocol = req.headers().get(X_FORWARDED_PROTO)?.to_str().ok()?;
        return Some(protocol.rsplit(',').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("https")));
    }
    if let Some(origin) = origin {
        return Some(origin.starts_with("https://"));
    }
    if !site.public.is_https() {
        return Some(false);
    }
    if is_passed_on(req, site) {
        return None;
    }
    // Over http, browsers send `Sec-Fetch-Site` and Secure cookies only to hosts on their own machine.
    let secure = req.headers().contains_key(SEC_FETCH_SITE) || has_secure_cookie(req.headers());
    match secure && is_loopback(host) {
        // A port serves either http or https, and we serve http on ours.
        true => (port(host) == Some(site.port)).then_some(false),
        false => Some(secure),
    }
}

fn is_from_trusted_proxy(req: &HttpRequest, site: &Site) -> bool {
    req.peer_addr().is_some_and(|peer| proxies::is_trusted(peer.ip(), &site.proxies))
}

/// Whether a proxy passed the request on. A browser never speaks HTTP/1.0, which is nginx's default towards an
/// upstream. A browser on another machine never asks for a loopback address.
fn is_passed_on(req: &HttpRequest, site: &Site) -> bool {
    is_from_trusted_proxy(req, site)
        || req.version() < Version::HTTP_11
        || is_from_elsewhere_to_loopback(req)
        || FORWARDING.iter().any(|name| req.headers().contains_key(name))
}

fn is_from_elsewhere_to_loopback(req: &HttpRequest) -> bool {
    let is_remote = req.peer_addr().is_some_and(|peer| !peer.ip().to_canonical().is_loopback());
    is_remote && host(req.uri(), req.headers()).is_some_and(is_loopback)
}

/// The origin of our page that caused the request, from `Origin` or else `Referer`. None if that origin is neither the
/// public one nor the requested host: then another site caused the request.
fn browser_origin(headers: &HeaderMap, host: &str, site: &Site) -> Option<String> {
    let value = |name: HeaderName| headers.get(name)?.to_str().ok();
    let url = value(header::ORIGIN).or_else(|| value(header::REFERER))?;
    // Most pages are our own, and need not be parsed.
    if let Some(rest) = url.strip_prefix(site.public.origin())
        && (rest.is_empty() || rest.starts_with(['/', '?', '#']))
    {
        return Some(site.public.origin().to_owned());
    }
    let url = Url::parse(url).ok()?;
    let origin = url.origin().ascii_serialization();
    let is_at_host = origin.split_once("://").is_some_and(|(_, at)| at.eq_ignore_ascii_case(host));
    (origin == site.public.origin() || is_at_host).then_some(origin)
}

/// Whether the request has a cookie that browsers send over https only.
fn has_secure_cookie(headers: &HeaderMap) -> bool {
    let pairs = headers.get_all(header::COOKIE).flat_map(|cookies| cookies.as_bytes().split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii_start).any(|pair| pair.starts_with(b"__Host-") || pair.starts_with(b"__Secure-"))
}

/// The requested host (RFC 9112, 3.2.2).
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    uri.authority().map(|authority| authority.as_str()).or_else(|| headers.get(header::HOST)?.to_str().ok())
}

fn is_host_of(host: &str, site: &Site) -> bool {
    let usual = if site.public.is_https() { ":443" } else { ":80" };
    let host = host.strip_suffix(usual).unwrap_or(host);
    host.eq_ignore_ascii_case(site.public.host())
}

/// Whether a proxy would use this host to reach us: it has our port, or it is the bare name of an upstream.
fn is_name_of_upstream(host: &str, own_port: u16) -> bool {
    port(host) == Some(own_port) || !host.contains(['.', ':'])
}

fn port(host: &str) -> Option<u16> {
    host.rsplit_once(':')?.1.parse().ok()
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::{
        base::{
            keys::Keys,
            secret,
            settings::{PublicUrl, Settings, SettingsArgs},
        },
        web::limits::Limits,
    };

    const HTTPS: &str = "https://id.example.com";

    fn site(public: &str, more: &[(&str, &str)]) -> Site {
        let given = [("SESSILE_PUBLIC_URL", public), ("SESSILE_TRUSTED_PROXIES", "10.0.0.0/8")];
        let given = given.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings: Settings = SettingsArgs::default().check(given).unwrap();
        let folder = std::env::temp_dir().join(secret::random_name("sessile-opened-").unwrap());
        let keys = Keys::read_or_make(&folder.join("key")).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let public: PublicUrl = settings.public_url.clone().unwrap();
        Site::new(public, keys, &settings, Limits::default(), (8080, 16)).unwrap()
    }

    fn opened(site: &Site, peer: &str, version: Version, sent: &[(&str, &str)]) -> Opened {
        let mut request = TestRequest::get()
            .uri("/login")
            .version(version)
            .peer_addr((peer.parse::<std::net::IpAddr>().unwrap(), 9).into());
        for (name, value) in sent {
            request = request.append_header((*name, *value));
        }
        place_of(&request.to_http_request(), site)
    }

    #[test]
    fn the_origin_under_which_a_page_was_opened() {
        use Opened::{BehindWrongHost, Elsewhere, Here};
        let (right, ip, upstream) = (("host", "id.example.com"), ("host", "127.0.0.1:8080"), ("host", "sessile"));
        let (xff, fetch) = (("x-forwarded-for", "203.0.113.9"), ("sec-fetch-site", "none"));
        let cookie = ("cookie", "__Host-aiq_visitor=x");
        let of_ours = ("referer", "https://id.example.com/login");
        let (old, new, direct, proxy) = (Version::HTTP_10, Version::HTTP_11, "203.0.113.9", "10.0.0.1");
        let https = site(HTTPS, &[]);
        type Sent<'a> = &'a [(&'static str, &'a str)];
        let cases: &[(&str, Version, Sent<'_>, Opened)] = &[
            // No sign of a proxy.
            (direct, new, &[right], Elsewhere),
            ("127.0.0.1", new, &[ip], Elsewhere),
            // A browser on another machine cannot ask for our loopback address.
            (direct, new, &[ip], BehindWrongHost),
            (direct, new, &[("host", "www.example.com"), fetch], Elsewhere),
            (direct, new, &[right, ("referer", "http://id.example.com/login")], Elsewhere),
            (direct, new, &[right, ("referer", "https://www.example.org/")], Elsewhere),
            (direct, new, &[], Here),
            // The proxy adds no headers, but the browser's headers show that it speaks TLS.
            (direct, new, &[right, fetch], Here),
            (direct, new, &[right, cookie], Here),
            (direct, new, &[right, of_ours], Here),
            (direct, new, &[("host", "ID.example.com:443"), fetch], Here),
            (direct, new, &[ip, of_ours], BehindWrongHost),
            // An untrusted proxy.
            (direct, new, &[right, xff], Here),
            (direct, old, &[right], Here),
            (direct, old, &[ip], BehindWrongHost),
            (direct, old, &[upstream], BehindWrongHost),
            (direct, new, &[ip, xff], BehindWrongHost),
            (direct, new, &[("host", "www.example.com"), xff], Elsewhere),
            // A trusted proxy.
            (proxy, new, &[right], Here),
            (proxy, new, &[right, ("x-forwarded-proto", "https")], Here),
            (proxy, new, &[right, ("x-forwarded-proto", "http")], Elsewhere),
            (proxy, new, &[ip], BehindWrongHost),
            (proxy, new, &[upstream], BehindWrongHost),
            (proxy, new, &[("host", "sessile.internal:8080")], BehindWrongHost),
            (proxy, new, &[("host", "www.example.com")], Elsewhere),
            (proxy, new, &[ip, ("x-forwarded-host", "id.example.com")], BehindWrongHost),
            (proxy, new, &[ip, ("x-forwarded-host", "www.example.com")], Elsewhere),
        ];
        for (peer, version, sent, expected) in cases {
            assert_eq!(opened(&https, peer, *version, sent), *expected, "{peer} {version:?} {sent:?}");
        }
        let plain = site("http://localhost:8080", &[]);
        let cases: &[(Sent<'_>, Opened)] = &[
            (&[("host", "localhost:8080"), fetch], Here),
            (&[("host", "LOCALHOST:8080")], Here),
            (&[("host", "127.0.0.1:8080"), fetch], Elsewhere),
            (&[("host", "localhost:8081")], Elsewhere),
            (&[("host", "localhost:8080"), ("origin", "https://localhost:8080")], Elsewhere),
        ];
        for (sent, expected) in cases {
            assert_eq!(opened(&plain, "127.0.0.1", new, sent), *expected, "{sent:?}");
        }
        // The service speaks http on its own port, so a page opened at that port came over http.
        let local = site("https://localhost:8080", &[]);
        assert_eq!(opened(&local, "127.0.0.1", new, &[("host", "localhost:8080"), fetch]), Elsewhere);
        let fronted = site("https://localhost:8443", &[]);
        assert_eq!(opened(&fronted, "127.0.0.1", new, &[("host", "localhost:8443"), fetch]), Here);
    }

    #[test]
    fn a_host_that_a_proxy_has_passed_on_is_known_again() {
        let plain = site("http://shop.lan:8306", &[]);
        let request = |sent: &[(&str, &str)]| {
            let mut request = TestRequest::get().uri("/login").peer_addr(([127, 0, 0, 1], 9).into());
            for (name, value) in sent {
                request = request.append_header((*name, *value));
            }
            request.to_http_request()
        };
        let typed = request(&[("host", "127.0.0.1:8080")]);
        assert_eq!(place_of(&typed, &plain), Opened::Elsewhere);
        let sheet = request(&[("host", "127.0.0.1:8080"), ("referer", "http://shop.lan:8306/login")]);
        assert_eq!(place_of(&sheet, &plain), Opened::BehindWrongHost);
        note_wrong_host(&sheet, &plain);
        assert_eq!(place_of(&typed, &plain), Opened::BehindWrongHost);
        assert_eq!(place_of(&request(&[("host", "192.168.0.7:8080")]), &plain), Opened::Elsewhere);
    }
}
