//! Who is really asking, when trusted proxies stand between. Forwarding headers of anybody else are not believed.

use std::net::IpAddr;

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

/// A request's client, resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub ip: IpAddr,
    /// Whether a trusted proxy says that the browser spoke http.
    pub proxied_over_http: bool,
}

/// The client behind `peer`: the rightmost address of `X-Forwarded-For` that is not a trusted proxy's, if `peer` is one.
pub fn resolve(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let peer = peer.to_canonical();
    let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    if !is_trusted(peer) {
        return Client { ip: peer, proxied_over_http: false };
    }
    let mut ip = peer;
    for hop in hops(headers).into_iter().rev() {
        match hop.parse::<IpAddr>() {
            Ok(address) => {
                ip = address.to_canonical();
                if !is_trusted(ip) {
                    break;
                }
            }
            // Beyond what nobody can read nothing can be believed.
            Err(_) => break,
        }
    }
    let protocol = last_value(headers, "x-forwarded-proto");
    Client { ip, proxied_over_http: protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("http")) }
}

fn hops(headers: &HeaderMap) -> Vec<&str> {
    headers
        .get_all("x-forwarded-for")
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(str::trim)
        .collect()
}

fn last_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let last = headers.get_all(name).last()?;
    last.to_str().ok()?.rsplit(',').next().map(str::trim)
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
        ];
        for (peer, forwarded, ip, http) in cases {
            assert_eq!(client(peer, forwarded, net), ((*ip).to_owned(), *http), "{peer} {forwarded:?}");
        }
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
        fn nobody_is_believed_who_is_not_trusted(
            peer in any::<IpAddr>(), hops in vec(any_hop(), 0..6), proto in "[ -~]{0,8}",
        ) {
            let sent = [("x-forwarded-for", hops.join(", ")), ("x-forwarded-proto", proto)];
            let sent = sent.each_ref().map(|(name, value)| (*name, value.as_str()));
            prop_assert_eq!(client(&peer.to_string(), &sent, &[]), (peer.to_canonical().to_string(), false));
        }

        /// Whatever the client wrote itself stands left of what its proxies added.
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
