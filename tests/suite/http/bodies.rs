//! Bodies, methods and addresses that nobody should send.

use serde_json::{Value, json};

use super::{KIM, assert_unharmed, raw, serve};
use crate::support::{Answer, Client, PASSWORD, Server};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn a_form_over_16_kib_is_too_large() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    for path in ["/login", "/setup", "/logout"] {
        let fits = format!("email={}", "a".repeat(16 * 1024 - 6));
        assert_ne!(client.send("POST", path, &[FORM], fits.as_bytes()).status, 413, "{path}");
        let large = format!("{fits}a");
        let answer = client.send("POST", path, &[FORM], large.as_bytes());
        assert_eq!(answer.status, 413, "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(chunked(&server, "POST", path, FORM.1, large.as_bytes()), 413, "{path}, chunked");
    }
    assert_unharmed(&server);
}

#[test]
fn json_over_64_kib_is_too_large() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    for (method, path) in [("POST", "/api/establish-session"), ("PATCH", "/api/session/data")] {
        let large = format!(r#"{{"a": "{}"}}"#, "a".repeat(64 * 1024));
        let answer = client.send(method, path, &[JSON], large.as_bytes());
        assert_eq!((answer.status, answer.problem().as_str()), (413, "too-large"), "{path}");
    }
    let large = format!(r#"{{"a": "{}"}}"#, "a".repeat(64 * 1024));
    assert_eq!(chunked(&server, "POST", "/api/establish-session", JSON.1, large.as_bytes()), 413);
    assert_eq!(client.get("/api/session/data").json(), json!({}));
    assert_unharmed(&server);
}

#[test]
fn the_api_takes_nothing_but_json() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let types = [FORM.1, "text/plain", "multipart/form-data; boundary=x", "application/xml", "text/html", "json", "*/*"];
    for (method, path) in [("POST", "/api/establish-session"), ("PATCH", "/api/session/data")] {
        for content_type in types {
            let answer = client.send(method, path, &[("Content-Type", content_type)], b"{\"a\": 1}");
            let told = (answer.status, answer.problem());
            assert_eq!(told, (415, "unsupported-media-type".to_owned()), "{path} {content_type}");
        }
        let answer = client.send(method, path, &[], b"{\"a\": 1}");
        assert_eq!(answer.status, 415, "{path} without a type: {answer:?}");
    }
    for path in ["/login", "/logout", "/setup"] {
        for content_type in [JSON.1, "text/plain", "multipart/form-data; boundary=x"] {
            let answer = client.send("POST", path, &[("Content-Type", content_type)], b"{}");
            assert_eq!(answer.status, 415, "{path} {content_type}: {answer:?}");
        }
    }
    assert_eq!(client.get("/api/session/data").json(), json!({}));
}

#[test]
fn broken_json_is_an_invalid_request() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let deep = format!("{}{}", "{\"a\":".repeat(500), "1");
    let deep_and_closed = format!("{deep}{}", "}".repeat(500));
    let lists = format!("{{\"a\":{}{}}}", "[".repeat(500), "]".repeat(500));
    let broken: [&[u8]; 25] = [
        b"",
        b" ",
        b"{",
        b"}",
        b"{}{}",
        b"{\"a\": 1,}",
        b"{'a': 1}",
        b"{\"a\": NaN}",
        b"{\"a\": Infinity}",
        b"{\"a\": 1e999}",
        b"{\"a\": -1e999}",
        b"{\"a\": 01}",
        b"{\"a\": \"\\ud800\"}",
        b"{\"a\": \"\\udc00\\ud800\"}",
        b"{\"\\udfff\": 1}",
        b"{\"a\": \"\xff\xfe\"}",
        b"{\"a\": \"\xc0\xaf\"}",
        b"{\"a\": \"\xed\xa0\x80\"}",
        b"{\"\xff\": 1}",
        b"{\"a\": \"\n\"}",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        deep.as_bytes(),
        deep_and_closed.as_bytes(),
        lists.as_bytes(),
    ];
    let not_objects: [&[u8]; 6] = [b"null", b"[]", b"\"a\"", b"1", b"true", b"[{\"a\": 1}]"];
    let nul: [&[u8]; 4] =
        [b"{\"a\": \"\\u0000\"}", b"{\"a\\u0000\": 1}", b"{\"a\": [{\"b\": \"x\\u0000\"}]}", b"{\"a\": null, \"\\u0000\": null}"];
    for body in broken.iter().chain(&not_objects).chain(&nul) {
        for (method, path) in [("POST", "/api/establish-session"), ("PATCH", "/api/session/data")] {
            let answer = client.send(method, path, &[JSON], body);
            let told = (answer.status, answer.problem());
            assert_eq!(told, (400, "invalid-request".to_owned()), "{path} {:?}", String::from_utf8_lossy(body));
        }
    }
    assert_eq!(client.get("/api/session/data").json(), json!({}));
    assert_unharmed(&server);
}

#[test]
fn odd_credentials_are_an_invalid_request() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    let long = format!("{}@example.com", "a".repeat(300));
    let odd = [
        json!({}),
        json!({"email": KIM}),
        json!({"password": PASSWORD}),
        json!({"email": 1, "password": PASSWORD}),
        json!({"email": [KIM], "password": PASSWORD}),
        json!({"email": {"$ne": ""}, "password": PASSWORD}),
        json!({"email": KIM, "password": true}),
        json!({"email": KIM, "password": null}),
        json!({"email": "kim", "password": PASSWORD}),
        json!({"email": "", "password": PASSWORD}),
        json!({"email": "kim\0@example.com", "password": PASSWORD}),
        json!({"email": "kim@example.com\0", "password": PASSWORD}),
        json!({"email": "kim@example.com\nbcc:x", "password": PASSWORD}),
        json!({"email": long, "password": PASSWORD}),
        json!({"email": KIM, "password": PASSWORD, "device": 1}),
        json!({"email": KIM, "password": PASSWORD, "device": {"name": 1}}),
        json!({"email": KIM, "password": PASSWORD, "device": {"name": ""}}),
        json!({"email": KIM, "password": PASSWORD, "device": {"name": "a\0b"}}),
        json!({"email": KIM, "password": PASSWORD, "device": {"name": "\u{7}"}}),
        json!({"email": KIM, "password": PASSWORD, "device": {"name": "a".repeat(61)}}),
        json!({"email": KIM, "password": PASSWORD, "device": {"installed": "yes"}}),
    ];
    for body in odd {
        let answer = client.json("POST", "/api/establish-session", &body);
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid-request"), "{body}");
    }
    assert_eq!(db.sql("SELECT count(*) FROM sessions"), "0");
    // What is merely wrong is told like any other wrong password.
    let odd_passwords = ["", "\0", "a\0b", &"a".repeat(60_000), "\u{10ffff}"];
    for password in odd_passwords {
        assert_eq!(client.try_log_in(KIM, password).problem(), "invalid-credentials", "{:.20}", password);
    }
    assert_unharmed(&server);
}

#[test]
fn odd_forms_are_refused() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    let csrf = client.form_token("/login");
    let bodies: [Vec<u8>; 9] = [
        b"".to_vec(),
        b"&&&===".to_vec(),
        b"%".to_vec(),
        b"%ff%fe=%ff".to_vec(),
        b"\xff\xfe=\xff".to_vec(),
        format!("csrf={csrf}&email=%00&password=x").into_bytes(),
        format!("csrf={csrf}&email=kim%00%40example.com&password=x").into_bytes(),
        format!("csrf={csrf}&csrf={csrf}&email={KIM}&email={KIM}&password=x").into_bytes(),
        "a=b&".repeat(4000).into_bytes(),
    ];
    for body in &bodies {
        for path in ["/login", "/setup"] {
            let answer = client.send("POST", path, &[FORM], body);
            assert!(matches!(answer.status, 400 | 422), "{path} {:.60}: {answer:?}", String::from_utf8_lossy(body));
            assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{answer:?}");
        }
    }
    assert_unharmed(&server);
}

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
        for request in ["GET /login", "GET /api/session", "POST /login", "POST /api/establish-session", "GET /static/x"] {
            let reply = raw::ask(&server, &[format!("{request} HTTP/1.1").as_bytes(), header], b"");
            assert!(reply.status < 500, "{request} {:?}: {}", String::from_utf8_lossy(header), reply.head);
            assert!(!String::from_utf8_lossy(&reply.body).contains("<script>alert"));
        }
    }
    assert_unharmed(&server);
}

/// The status of a request whose body comes in chunks, its length unknown.
fn chunked(server: &Server, method: &str, path: &str, content_type: &str, body: &[u8]) -> u16 {
    let mut chunks = Vec::new();
    for chunk in body.chunks(4096) {
        chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    let lines = [
        format!("{method} {path} HTTP/1.1"),
        format!("Host: localhost:{}", server.port),
        format!("Origin: http://localhost:{}", server.port),
        format!("Content-Type: {content_type}"),
        "Transfer-Encoding: chunked".to_owned(),
    ];
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    raw::ask(server, &lines, &chunks).status
}

#[test]
fn the_answer_to_a_login_is_what_the_contract_says() {
    let (_db, server) = serve(&[]);
    let mut client: Client = server.client();
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0";
    let body = json!({"email": "KIM@Example.com", "password": PASSWORD, "device": {"name": "Desk", "installed": true}});
    let headers = [JSON, ("User-Agent", agent)];
    let login: Answer = client.send("POST", "/api/establish-session", &headers, body.to_string().as_bytes());
    assert_eq!((login.status, login.header("content-type")), (200, Some("application/json")), "{login:?}");
    let shown = client.get("/api/session").json();
    assert_eq!(login.json(), shown);
    let names = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&shown), ["session", "user"]);
    assert_eq!(names(&shown["user"]), ["email", "id", "name", "role"]);
    let session = ["absoluteExpiresAt", "client", "createdAt", "current", "deviceId", "deviceName", "expiresAt", "id"];
    assert_eq!(names(&shown["session"])[..8], session);
    assert_eq!(names(&shown["session"])[8..], ["ip", "lastActivity"]);
    assert_eq!(shown["user"]["role"], "owner");
    assert_eq!(shown["session"]["deviceName"], "Desk");
    let client = json!({"browser": "Firefox", "os": "Linux", "kind": "desktop", "installed": true});
    assert_eq!(shown["session"]["client"], client);
    assert_eq!((&shown["session"]["current"], &shown["session"]["ip"]), (&json!(true), &json!("127.0.0.1")));
}
