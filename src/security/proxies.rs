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
}
