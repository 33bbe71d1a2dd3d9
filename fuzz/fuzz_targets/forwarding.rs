//! Forwarding headers. The first byte of the input chooses the peer; the rest are header lines.

#![no_main]

use std::net::IpAddr;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;
use sessile::web::proxies::{Client, resolve};

const PEERS: [&str; 6] = ["203.0.113.9", "10.0.0.1", "::ffff:10.0.0.1", "::1", "2001:db8::9", "::ffff:203.0.113.9"];
const NAMES: [&str; 4] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"];

fuzz_target!(|input: &[u8]| {
    let Some((choice, lines)) = input.split_first() else { return };
    let peer: IpAddr = PEERS[usize::from(*choice) % PEERS.len()].parse().expect("an address");
    let trusted: Vec<IpNet> = ["10.0.0.0/8", "::1/128"].map(|net| net.parse().expect("a network")).into();
    let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    let headers = parse_headers(lines);
    let client = resolve(peer, &headers, &trusted);

    assert_eq!(client.ip, client.ip.to_canonical(), "the address is not canonical");
    if !is_trusted(peer.to_canonical()) {
        let unresolved = Client { ip: peer.to_canonical(), proxied_over_http: false };
        assert_eq!(client, unresolved, "headers of an untrusted peer were used: {headers:?}");
        return;
    }
    assert_eq!(resolve(peer, &headers, &[]).ip, peer.to_canonical(), "headers were used although no proxy is trusted");
    if client.ip == peer.to_canonical() {
        return;
    }
    let hops = hops(&headers);
    let is_client = |candidates: &Vec<IpAddr>| candidates.contains(&client.ip);
    assert!(hops.iter().any(is_client), "the address is not in the headers: {headers:?}");
    if !is_trusted(client.ip) {
        let position = hops.iter().rposition(is_client).expect("a hop of the client");
        let is_proxy = |candidates: &Vec<IpAddr>| candidates.iter().any(|ip| is_trusted(*ip));
        assert!(hops[position + 1..].iter().all(is_proxy), "an untrusted hop is nearer: {headers:?}");
        // Hops that the client itself put before those of its proxies change nothing.
        assert_eq!(resolve(peer, &with_more_hops(&headers), &trusted).ip, client.ip, "{headers:?}");
    }
});

/// The first byte of each line chooses the header's name.
fn parse_headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some((choice, value)) = line.split_first() else { continue };
        let name = HeaderName::from_static(NAMES[usize::from(*choice) % NAMES.len()]);
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    headers
}

/// All addresses that each hop may be parsed as. The address is at the start of the hop, with or without brackets, and
/// may be followed by a port or a zone.
fn hops(headers: &HeaderMap) -> Vec<Vec<IpAddr>> {
    let values = headers.get_all("x-forwarded-for");
    let texts = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    texts
        .map(|text| {
            let text = text.trim_ascii_start();
            let text = text.strip_prefix(b"[").unwrap_or(text);
            let prefixes = (1..=text.len().min(45)).filter_map(|end| std::str::from_utf8(&text[..end]).ok());
            prefixes.filter_map(|prefix| prefix.parse::<IpAddr>().ok()).map(|ip| ip.to_canonical()).collect()
        })
        .collect()
}

fn with_more_hops(headers: &HeaderMap) -> HeaderMap {
    let mut more = HeaderMap::new();
    more.append(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_static("192.0.2.66, nonsense, 10.9.9.9"));
    for (name, value) in headers {
        more.append(name.clone(), value.clone());
    }
    more
}
