//! Decides who may read the figures: programs on this machine and on the networks of its proxies. Called by `ops`.
//!
//! Invariant: a request through a proxy is judged by its client's address, and refused if that address is unknown.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

use super::proxies;

/// Headers that show that a request was passed on.
const FORWARDING: [&str; 3] = ["x-forwarded-for", "x-forwarded-proto", "forwarded"];

/// Whether the client may see the figures. It must be on loopback or on a trusted proxy's network, and forwarding
/// headers must come from a trusted proxy.
pub fn may_look(peer: Option<SocketAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> bool {
    let Some(peer) = peer.map(|peer| peer.ip().to_canonical()) else {
        return false;
    };
    let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    let believed = match is_trusted(peer) {
        false => !FORWARDING.iter().any(|name| headers.contains_key(*name)),
        true => names_client(headers),
    };
    let client = proxies::resolve(peer, headers, trusted).ip;
    believed && (client.is_loopback() || is_trusted(client))
}

/// Whether a trusted proxy names the client in `X-Forwarded-For`.
fn names_client(headers: &HeaderMap) -> bool {
    let mut hops = headers.get_all("x-forwarded-for").flat_map(|value| value.to_str().unwrap_or("?").split(','));
    let silent = !headers.contains_key("x-forwarded-for") && headers.contains_key("forwarded");
    !silent && hops.all(|hop| hop.trim().parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn figures_are_for_this_machine_and_the_networks_of_its_proxies() {
        type Sent<'a> = &'a [(&'static str, &'a str)];
        let (xff, proto, forwarded) = ("x-forwarded-for", "x-forwarded-proto", "forwarded");
        let net: &[&str] = &["10.0.0.0/8"];
        let cases: &[(&str, Sent<'_>, &[&str], bool)] = &[
            ("127.0.0.1", &[], &[], true),
            ("127.8.9.10", &[], net, true),
            ("::1", &[], &[], true),
            ("::ffff:127.0.0.1", &[], &[], true),
            ("10.0.0.9", &[], net, true),
            ("10.0.0.9", &[(xff, "10.0.0.4")], net, true),
            ("10.0.0.9", &[(xff, "127.0.0.1")], net, true),
            ("10.0.0.9", &[(proto, "https")], net, true),
            ("10.0.0.9", &[], &[], false),
            ("203.0.113.9", &[], net, false),
            // An unknown proxy on this machine passes on requests from anywhere.
            ("127.0.0.1", &[(xff, "203.0.113.9")], net, false),
            ("127.0.0.1", &[(xff, "127.0.0.1")], net, false),
            ("127.0.0.1", &[(proto, "https")], &[], false),
            ("127.0.0.1", &[(forwarded, "for=127.0.0.1")], &[], false),
            ("203.0.113.9", &[(xff, "127.0.0.1")], net, false),
            // Through a trusted proxy, the client's address decides, and it must be known.
            ("10.0.0.9", &[(xff, "203.0.113.9")], net, false),
            ("10.0.0.9", &[(xff, "127.0.0.1, 203.0.113.9")], net, false),
            ("10.0.0.9", &[(xff, "127.0.0.1"), (xff, "203.0.113.9")], net, false),
            ("10.0.0.9", &[(xff, "unknown")], net, false),
            ("10.0.0.9", &[(xff, "")], net, false),
            ("10.0.0.9", &[(forwarded, "for=203.0.113.9")], net, false),
            ("10.0.0.9", &[(xff, "10.0.0.4"), (forwarded, "for=203.0.113.9")], net, true),
        ];
        for (peer, sent, trusted, may) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in *sent {
                headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
            }
            let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
            let peer = SocketAddr::new(peer.parse().unwrap(), 1234);
            assert_eq!(may_look(Some(peer), &headers, &trusted), *may, "{peer} {sent:?}");
        }
        assert!(!may_look(None, &HeaderMap::new(), &[]));
    }
}
