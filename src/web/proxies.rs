//! Resolves the client's address behind trusted proxies. Called by the outermost layer.
//!
//! Invariant: forwarding headers are ignored unless the peer is a trusted proxy.

use std::net::IpAddr;

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

/// The client of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    pub ip: IpAddr,
    /// Whether a trusted proxy reports that the browser used http.
    pub proxied_over_http: bool,
}

/// The client behind `peer`. If `peer` is a trusted proxy, this is the rightmost address in `X-Forwarded-For` that is
/// not a trusted proxy. `Forwarded` (RFC 7239) and similar headers are ignored.
pub fn resolve(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let peer = peer.to_canonical();
    let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    if !is_trusted(peer) {
        return Client { ip: peer, proxied_over_http: false };
    }
    let hops = values(headers, "x-forwarded-for");
    let mut client = (peer, hops.len());
    for (position, hop) in hops.iter().enumerate().rev() {
        // Stop at an unreadable entry: the entries to its left cannot be trusted.
        let Some(ip) = address(hop) else { break };
        client = (ip, position);
        if !is_trusted(ip) {
            break;
        }
    }
    let protocols = values(headers, "x-forwarded-proto");
    // If both lists have the same length, each proxy appended to both, so take the protocol at the client's position.
    // Otherwise take the last protocol.
    let at = if protocols.len() == hops.len() { protocols.get(client.1) } else { None };
    let protocol = at.or(protocols.last());
    Client { ip: client.0, proxied_over_http: protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("http")) }
}

/// The network that limits are counted for: the address itself, or the /64 of an IPv6 address, which is one customer
/// (RFC 6177).
pub fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

/// Whether this is the address of a trusted proxy.
pub fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    trusted.iter().any(|net| net.contains(&peer))
}

/// All values of a list header, from all its lines.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).flat_map(|line| line.to_str().unwrap_or("?").split(',')).map(str::trim).collect()
}

/// Parses an address as proxies write it: possibly with a port, brackets or a zone.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = match hop.strip_prefix('[') {
        Some(rest) => {
            let (inside, port) = rest.split_once(']')?;
            is_port(port).then_some(inside)?
        }
        None => match hop.split_once(':') {
            Some((v4, port)) if !port.contains(':') => is_port(&hop[v4.len()..]).then_some(v4)?,
            _ => hop,
        },
    };
    let (ip, _zone) = bare.split_once('%').unwrap_or((bare, ""));
    ip.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// Whether the text is empty, or a colon and a port.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn client(peer: &str, forwarded: &[(&'static str, &str)], trusted: &[&str]) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in forwarded {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let client = resolve(peer.parse().unwrap(), &headers, &trusted);
        (client.ip.to_string(), client.proxied_over_http)
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let xff = "x-forwarded-for";
        let proto = "x-forwarded-proto";
        let net: &[&str] = &["10.0.0.0/8", "::1/128"];
        type Sent<'a> = &'a [(&'static str, &'a str)];
        let cases: &[(&str, Sent<'_>, &str, bool)] = &[
            ("203.0.113.9", &[(xff, "198.51.100.1"), (proto, "http")], "203.0.113.9", false),
            ("10.0.0.1", &[(xff, "198.51.100.1")], "198.51.100.1", false),
            ("10.0.0.1", &[(xff, "6.6.6.6, 198.51.100.1, 10.0.0.2")], "198.51.100.1", false),
            ("10.0.0.1", &[(xff, "6.6.6.6"), (xff, "198.51.100.1")], "198.51.100.1", false),
            ("10.0.0.1", &[(xff, "198.51.100.1, unknown")], "10.0.0.1", false),
            ("10.0.0.1", &[(xff, "10.0.0.3, 10.0.0.2")], "10.0.0.3", false),
            ("::ffff:10.0.0.1", &[(xff, "198.51.100.1"), (proto, "HTTP")], "198.51.100.1", true),
            ("::1", &[(xff, "2001:db8::1"), (proto, "https, http")], "2001:db8::1", true),
            ("10.0.0.1", &[(xff, ""), (proto, "https")], "10.0.0.1", false),
            // Ports, brackets, zones, IPv4-mapped IPv6 addresses.
            ("10.0.0.1", &[(xff, "198.51.100.1:4711")], "198.51.100.1", false),
            ("10.0.0.1", &[(xff, "[2001:db8::1]:4711")], "2001:db8::1", false),
            ("10.0.0.1", &[(xff, "[2001:db8::1]")], "2001:db8::1", false),
            ("10.0.0.1", &[(xff, "fe80::1%eth0")], "fe80::1", false),
            ("10.0.0.1", &[(xff, "[fe80::1%25eth0]:80")], "fe80::1", false),
            ("10.0.0.1", &[(xff, "::ffff:198.51.100.1")], "198.51.100.1", false),
            ("10.0.0.1", &[(xff, "198.51.100.1, ::ffff:10.0.0.2")], "198.51.100.1", false),
            ("10.0.0.1", &[(xff, "6.6.6.6, 198.51.100.1:4711, [::1]:80")], "198.51.100.1", false),
            ("10.0.0.1", &[(xff, "198.51.100.1:99999")], "10.0.0.1", false),
            ("10.0.0.1", &[(xff, "198.51.100.1, [2001:db8::1")], "10.0.0.1", false),
            ("10.0.0.1", &[(xff, "198.51.100.1,")], "10.0.0.1", false),
            ("10.0.0.1", &[(xff, "\"198.51.100.1\"")], "10.0.0.1", false),
            // Several protocols: the one at the client's position if both lists have the same length, else the last.
            ("10.0.0.1", &[(xff, "198.51.100.1, 10.0.0.2"), (proto, "https, http")], "198.51.100.1", false),
            ("10.0.0.1", &[(xff, "198.51.100.1, 10.0.0.2"), (proto, "http"), (proto, "https")], "198.51.100.1", true),
            ("10.0.0.1", &[(xff, "6.6.6.6, 198.51.100.1"), (proto, "https, http")], "198.51.100.1", true),
            ("10.0.0.1", &[(xff, "198.51.100.1"), (proto, "http, https")], "198.51.100.1", false),
            ("10.0.0.1", &[(proto, "http")], "10.0.0.1", true),
            ("10.0.0.1", &[(xff, "198.51.100.1"), (proto, "gopher")], "198.51.100.1", false),
            // Other headers are ignored.
            ("10.0.0.1", &[("forwarded", "for=198.51.100.1;proto=http")], "10.0.0.1", false),
            ("10.0.0.1", &[("x-real-ip", "198.51.100.1")], "10.0.0.1", false),
        ];
        for (peer, forwarded, ip, http) in cases {
            assert_eq!(client(peer, forwarded, net), ((*ip).to_owned(), *http), "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn an_ipv6_64_is_one_network_and_mapped_addresses_are_ipv4() {
        let of = |ip: &str| network(ip.parse().unwrap()).to_string();
        assert_eq!([of("2001:db8:1:2:3::4"), of("::ffff:192.0.2.1")], ["2001:db8:1:2::", "192.0.2.1"]);
    }

    fn any_hop() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
            any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string()),
            (0..4_u8).prop_map(|last| format!("10.0.0.{last}")),
            (0..4_u8).prop_map(|last| format!("::ffff:10.0.0.{last}")),
            Just("::1".to_owned()),
            "[ -~]{0,12}",
        ]
    }

    proptest! {
        #[test]
        fn untrusted_peers_are_never_believed(
            peer in any::<IpAddr>(), hops in vec(any_hop(), 0..6), proto in "[ -~]{0,8}",
        ) {
            let sent = [("x-forwarded-for", hops.join(", ")), ("x-forwarded-proto", proto)];
            let sent = sent.each_ref().map(|(name, value)| (*name, value.as_str()));
            prop_assert_eq!(client(&peer.to_string(), &sent, &[]), (peer.to_canonical().to_string(), false));
        }

        /// The client's own entries are to the left of those that the proxies add.
        #[test]
        fn a_client_cannot_choose_its_address(
            ip in any::<std::net::Ipv4Addr>(), written in vec(any_hop(), 0..6), proxies in vec(0..200_u8, 0..6),
        ) {
            let trusted = ["10.0.0.0/8"];
            prop_assume!(ip.octets()[0] != 10);
            let proxies = proxies.iter().map(|last| format!("10.0.0.{last}"));
            let hops: Vec<String> = written.into_iter().chain([ip.to_string()]).chain(proxies).collect();
            let one_line = client("10.9.9.9", &[("x-forwarded-for", &hops.join(","))], &trusted);
            prop_assert_eq!(&one_line.0, &ip.to_string());
            let lines: Vec<_> = hops.iter().map(|hop| ("x-forwarded-for", hop.as_str())).collect();
            prop_assert_eq!(client("10.9.9.9", &lines, &trusted), one_line);
        }
    }
}
