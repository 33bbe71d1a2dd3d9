//! Malformed methods, addresses and headers.

use super::{Target, addresses::ADDRESSES, all_places, judge, pairs};
use crate::{http::raw, support::Answer};

#[test]
fn odd_methods_are_not_allowed_anywhere() {
    let target = Target::new(&[]);
    let cookie = target.cookie();
    let long = "M".repeat(10_000);
    let odd = ["TRACE", "CONNECT", "OPTIONS", "PROPFIND", "M-SEARCH", "FOO", "get", "Post", &long];
    for address in ADDRESSES.iter().filter(|address| !address.takes_any()) {
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
        for method in odd.iter().chain(known.iter().filter(|method| !address.takes(method))) {
            let answer = target.ask(method, &address.path(), &[&cookie], b"");
            let told = (answer.status, answer.header("allow").map(str::to_owned));
            let methods: Vec<&str> = address.methods().collect();
            assert_eq!(told, (405, Some(methods.join(", "))), "{method:.20} {address:?}");
            assert_eq!(answer.header("access-control-allow-origin"), None, "{answer:?}");
        }
        assert!(matches!(target.ask("PUT", "/nothing", &[&cookie], b"").status, 404 | 405));
    }
    target.must_be_unharmed();
}

#[test]
fn odd_request_lines_are_refused() {
    let target = Target::new(&[]);
    let long = format!("GET /{} HTTP/1.1", "a".repeat(70_000));
    let lines: [&[u8]; 23] = [
        b"CONNECT localhost:80 HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET login HTTP/1.1",
        b"GET @evil.example/ HTTP/1.1",
        b"GET .evil.example/ HTTP/1.1",
        b"GET /\"<> HTTP/1.1",
        b"GET / x HTTP/1.1",
        b"GET /\xc3\xa9 HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET /\0 HTTP/1.1",
        b"GET /a b c HTTP/1.1",
        b"GET  HTTP/1.1",
        b"GET / HTTP/9.9",
        b"GET / HTTP/2.0",
        b"GET / http/1.1",
        b"GET /",
        b" / HTTP/1.1",
        b"G\xc3\x89T / HTTP/1.1",
        b"G\0T / HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"!#$%&'*+.^_`|~ / HTTP/1.1",
        long.as_bytes(),
    ];
    for line in lines {
        let reply = raw::ask(&target.server, &[line, b"Host: localhost"], b"");
        assert!((400..500).contains(&reply.status), "{:.80}: {}", String::from_utf8_lossy(line), reply.head);
        judge(&String::from_utf8_lossy(line), "", &Answer::from(reply));
    }
    target.must_be_unharmed();
}

#[test]
fn malformed_addresses_are_not_found() {
    let target = Target::new(&[]);
    let long = format!("/{}", "a".repeat(10_000));
    let long_static = format!("/static{long}");
    let deep = format!("/api/session{}", "/..".repeat(3000));
    let query = format!("/login?{}", "a=b&".repeat(2500));
    let found = [
        "/login?next=%ff%00",
        "/login?",
        "/login?=&&=",
        "/login?a=b",
        "/login?%",
        "/login??",
        "http://evil.example/login",
        &query,
    ];
    let missing = [
        "/%00",
        "/%ff",
        "/%",
        "/%2",
        "/%zz",
        "/.",
        "/..",
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/..;/dashboard",
        "/static/../Cargo.toml",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%5c..%5cCargo.toml",
        "/static/",
        "/static",
        "/static//etc/passwd",
        "/static/%00",
        "/static/a%00.css",
        "/login/",
        "/LOGIN",
        "/login;a=b",
        "/login%2f",
        "/login%00",
        "/login/.",
        "/%2flogin",
        "/%2Fapi%2Fsession",
        "/api",
        "/api/",
        "/api/session/",
        "/api/session%2fdata",
        "/api//session",
        "/api/session/data/x",
        "//login",
        "//evil.example/login",
        "///",
        "/\\evil.example",
        "/http://evil.example/",
        "/https:/evil.example",
        &long,
        &long_static,
        &deep,
    ];
    let cookie = target.cookie();
    for (paths, status) in [(found.as_slice(), [200, 303]), (missing.as_slice(), [404, 404])] {
        for path in paths {
            for (headers, status) in [([b"A: b".as_slice()], status[0]), ([cookie.as_slice()], status[1])] {
                let answer = target.ask("GET", path, &headers, b"");
                assert_eq!(answer.status, status, "{path:.60}: {answer:?}");
                let problem = path.starts_with("/api");
                let content_type = if problem { "application/problem+json" } else { "text/html; charset=utf-8" };
                let expected = (status != 303).then_some(content_type);
                assert_eq!(answer.header("content-type"), expected, "{path:.60}");
                assert!(!answer.body.contains("href=\"//"), "{path:.60} leads to another host: {answer:?}");
            }
        }
    }
    target.must_be_unharmed();
}

#[test]
fn odd_headers_do_no_harm() {
    let target = Target::new(&[]);
    let (long, longer) = ("x".repeat(8_000), "x".repeat(60_000));
    let mut odd: Vec<Vec<u8>> = Vec::new();
    for name in [
        "User-Agent",
        "Host",
        "Origin",
        "Referer",
        "Sec-Fetch-Site",
        "Sec-Fetch-Mode",
        "Sec-Fetch-Dest",
        "Content-Type",
        "Accept",
        "Accept-Encoding",
        "Accept-Language",
        "Authorization",
        "If-None-Match",
        "If-Modified-Since",
        "Range",
        "X-Request-Id",
        "Last-Event-ID",
        "X-Http-Method-Override",
        "X-Original-Url",
        "Traceparent",
    ] {
        for value in
            ["", ",", "\"", "*", "\t", "<script>alert(1)</script>", "localhost, evil.example", "-1", "%00", &long]
        {
            odd.push(format!("{name}: {value}").into_bytes());
        }
        odd.push([name.as_bytes(), b": \xff\xfe"].concat());
    }
    odd.push(b"Expect: 100-continue".to_vec());
    odd.push(b"Expect: 200-maybe".to_vec());
    odd.push(b"Upgrade: h2c".to_vec());
    odd.push(b"Upgrade: websocket\r\nConnection: upgrade".to_vec());
    odd.push(b"Range: bytes=0-0,1-1,2-2,99999999999999999999-".to_vec());
    odd.push(format!("User-Agent: {longer}").into_bytes());
    odd.push(b"X: y\r\n".repeat(80).trim_ascii_end().to_vec());
    for (header, (method, path)) in pairs(&odd, all_places()) {
        let answer = target.ask(method, &path, &[header], b"");
        assert!(!answer.body.contains("<script>alert"), "{answer:?}");
        let leads = answer.header("location").unwrap_or("/");
        assert!(leads.starts_with('/') && !leads.starts_with("//"), "{answer:?}");
    }
    target.must_be_unharmed();
}

#[test]
fn heads_over_every_limit_are_refused() {
    let target = Target::new(&[]);
    let heads: [Vec<u8>; 3] = [
        b"X: y\r\n".repeat(500).trim_ascii_end().to_vec(),
        format!("X: {}", "y".repeat(200_000)).into_bytes(),
        format!("{}: y", "x".repeat(200_000)).into_bytes(),
    ];
    for head in heads {
        let reply = raw::ask(&target.server, &[b"GET /login HTTP/1.1", b"Host: a", &head], b"");
        assert!(matches!(reply.status, 400 | 431), "{:.40} {}", String::from_utf8_lossy(&head), reply.head);
    }
    target.must_be_unharmed();
}

/// The crate `http` supports names of up to 65,535 bytes. actix-http 3.20 reads longer names up to its buffer size and
/// panics, which logs a line and ends only that connection.
#[test]
fn a_header_name_over_64_kib_ends_only_its_connection() {
    let mut target = Target::new(&[]);
    for _ in 0..20 {
        let head = format!("GET /login HTTP/1.1\r\nHost: a\r\n{}: y\r\n\r\n", "x".repeat(70_000));
        let came = raw::converse(target.server.port, head.as_bytes());
        assert!(came.is_empty() || raw::read(&came).status < 500, "{:?}", String::from_utf8_lossy(&came));
    }
    for _ in 0..20 {
        target.ask("GET", "/login", &[], b"");
    }
    target.stands();
}
