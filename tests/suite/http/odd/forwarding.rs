//! Malformed forwarding headers, sent by trusted and by untrusted peers.

use super::{Target, all_places, judge, pairs};
use crate::{
    http::{raw, serve_https},
    support::Answer,
};

fn odd_lines() -> Vec<Vec<u8>> {
    let hops = ["198.51.100.7, ", "10.0.0.1,", ",", "::1 , "].map(|hop| hop.repeat(1000));
    let values: Vec<&[u8]> = vec![
        b"",
        b" ",
        b",",
        b",,,,",
        b"unknown",
        b"_hidden",
        b"<script>alert(1)</script>",
        b"localhost",
        b"127.0.0.1",
        b"127.1",
        b"0x7f000001",
        b"2130706433",
        b"0177.0.0.1",
        b"256.256.256.256",
        b"1.2.3.4.5",
        b"198.51.100.7:80",
        b"198.51.100.7/24",
        b"[2001:db8::1]",
        b"[2001:db8::1]:443",
        b"2001:db8::1%eth0",
        b"fe80::1%25eth0",
        b"::ffff:198.51.100.7",
        b"::",
        b"2001:db8:::1",
        b"\"198.51.100.7\"",
        b"198.51.100.7 198.51.100.8",
        b"198.51.100.7; 198.51.100.8",
        b"for=198.51.100.7;proto=https",
        b"\xff\xfe",
        b"198.51.100.7, \xff",
        b"\xd9\xa1\xd9\xa9.1.1.1",
        b"http",
        b"HTTPS",
        b"https, http, https",
        b"javascript",
        b"http:",
        hops[0].as_bytes(),
        hops[1].as_bytes(),
        hops[2].as_bytes(),
        hops[3].as_bytes(),
    ];
    let names = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP", "Forwarded"];
    let with = |name: &str, value: &[u8]| [name.as_bytes(), b": ", value].concat();
    let mut lines: Vec<Vec<u8>> =
        values.iter().flat_map(|value| names.iter().map(move |name| with(name, value))).collect();
    let many = |line: &str| line.repeat(80).trim_end().as_bytes().to_vec();
    lines.push(many("X-Forwarded-For: 198.51.100.7\r\n"));
    lines.push(b"X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http".to_vec());
    lines.push(b"X-Forwarded-Proto: http\r\nX-Forwarded-Proto: https".to_vec());
    lines.push(b"X-Forwarded-For:\r\nX-Forwarded-For: 198.51.100.7\r\nX-Forwarded-For:".to_vec());
    lines
}

#[test]
fn odd_forwarding_headers_do_no_harm() {
    for trust in [&[][..], &[("SESSILE_TRUSTED_PROXIES", "127.0.0.0/8,10.0.0.0/8,::1")]] {
        let target = Target::new(trust);
        let cookie = target.cookie();
        let lines = odd_lines();
        for (line, (method, path)) in pairs(&lines, all_places()) {
            target.ask(method, &path, &[line], b"");
        }
        for line in lines {
            let answer = target.ask("GET", "/api/session", &[&line, &cookie], b"");
            assert_eq!((answer.status, &answer.json()["session"]["ip"]), (200, &"127.0.0.1".into()), "{answer:?}");
        }
        target.must_be_unharmed();
    }
}

#[test]
fn the_https_redirect_never_leads_to_another_host() {
    let (_db, server, _) = serve_https(&[("SESSILE_TRUSTED_PROXIES", "127.0.0.1")]);
    let targets = [
        "/",
        "/login?next=//evil.example",
        "//evil.example/",
        "/\\evil.example",
        "/@evil.example",
        "/%0d%0aA:b",
        "*",
        "http://evil.example/login",
        "http://evil.example",
        "evil.example:443",
        "/.evil.example",
        "/?:@evil.example",
    ];
    for method in ["GET", "POST", "OPTIONS", "CONNECT", "TRACE"] {
        for asked in targets {
            for proto in ["http", "https, http", "https\r\nX-Forwarded-Proto: http", "HTTP"] {
                let line = format!("{method} {asked} HTTP/1.1");
                let proto = format!("X-Forwarded-Proto: {proto}");
                let lines: [&[u8]; 4] = [line.as_bytes(), b"Host: evil.example", b"Origin: null", proto.as_bytes()];
                let answer = Answer::from(raw::ask(&server, &lines, b""));
                judge(&(&line, &proto), "", &answer);
                let leads = answer.header("location").unwrap_or("https://id.example.com/");
                assert!(leads.starts_with("https://id.example.com/"), "{line}: {answer:?}");
            }
        }
    }
}
