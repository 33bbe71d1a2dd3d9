//! Methods, addresses and headers that nobody should send.

use super::{KIM, assert_unharmed, raw, serve};

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn odd_methods_are_not_allowed() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let paths = ["/", "/login", "/logout", "/setup", "/dashboard", "/api/session", "/api/session/data", "/healthz"];
    for method in ["PUT", "OPTIONS", "TRACE", "PROPFIND", "FOO", "get"] {
        for path in paths.iter().chain(&["/api/establish-session", "/static/missing", "/nothing"]) {
            let answer = client.send(method, path, &[], b"");
            assert!(matches!(answer.status, 404 | 405), "{method} {path}: {answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
    for path in ["/dashboard", "/api/session", "/healthz"] {
        assert_eq!(client.send("POST", path, &[JSON], b"{}").status, 405, "{path}");
    }
    assert_eq!(client.send("DELETE", "/api/session/data", &[], b"").status, 405);
    assert_eq!(client.get("/api/session").status, 200, "nothing was done");
    for request in ["CONNECT localhost:80 HTTP/1.1", "OPTIONS * HTTP/1.1", "GET * HTTP/1.1", "GET login HTTP/1.1"] {
        let reply = raw::ask(&server, &[request.as_bytes(), b"Host: localhost"], b"");
        assert!((400..500).contains(&reply.status), "{request}: {}", reply.head);
    }
    assert_unharmed(&server);
}

#[test]
fn odd_addresses_are_nothing() {
    let (_db, server) = serve(&[]);
    let long = format!("/{}", "a".repeat(8000));
    let found = ["/login?next=%ff%00", "/login?", "/login?=&&=", "/login?a=b", "http://evil.example/login"];
    let missing = [
        "/%00",
        "/%ff",
        "/..",
        "/../../etc/passwd",
        "/static/../Cargo.toml",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/static/",
        "/login/",
        "/LOGIN",
        "/login;a=b",
        "/login%2f",
        "/api",
        "/api/",
        "/api/session/",
        "/api/session/data/x",
        "//login",
        &long,
    ];
    for (paths, status) in [(found.as_slice(), 200), (missing.as_slice(), 404)] {
        for path in paths {
            let request = format!("GET {path} HTTP/1.1");
            let reply = raw::ask(&server, &[request.as_bytes(), b"Host: localhost"], b"");
            assert_eq!(reply.status, status, "{path:.60}");
            let problem = path.starts_with("/api");
            let content_type = if problem { "application/problem+json" } else { "text/html; charset=utf-8" };
            assert_eq!(reply.all("content-type"), [content_type], "{path:.60}");
        }
    }
    for path in ["/\"<>", "/ x", "/\u{e9}", "/a b c"] {
        let reply = raw::ask(&server, &[format!("GET {path} HTTP/1.1").as_bytes(), b"Host: localhost"], b"");
        assert!((400..500).contains(&reply.status), "{path}: {}", reply.head);
    }
    assert_unharmed(&server);
}

#[test]
fn odd_headers_do_no_harm() {
    let (_db, server) = serve(&[]);
    let odd: [&[u8]; 12] = [
        b"User-Agent: \xff\xfe",
        b"User-Agent: <script>alert(1)</script>",
        b"Host: \xff",
        b"Host:",
        b"Origin: \xff",
        b"Sec-Fetch-Site: \xff",
        b"Content-Type: \xff",
        b"X-Forwarded-For: \xff",
        b"X-Forwarded-Proto: \xff",
        b"Accept-Encoding: \xff",
        b"If-None-Match: \xff",
        b"Content-Length: 0",
    ];
    for header in odd {
        for request in ["GET /login", "GET /api/session", "POST /login", "POST /api/establish-session", "GET /static/x"]
        {
            let reply = raw::ask(&server, &[format!("{request} HTTP/1.1").as_bytes(), header], b"");
            assert!(reply.status < 500, "{request} {:?}: {}", String::from_utf8_lossy(header), reply.head);
            assert!(!String::from_utf8_lossy(&reply.body).contains("<script>alert"));
        }
    }
    assert_unharmed(&server);
}
