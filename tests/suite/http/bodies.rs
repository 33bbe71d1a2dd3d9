//! Bodies that nobody should send.

use serde_json::json;

use super::{KIM, assert_unharmed, raw, serve};
use crate::support::{PASSWORD, Server};

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
    let types =
        [FORM.1, "text/plain", "multipart/form-data; boundary=x", "application/xml", "text/html", "json", "*/*"];
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
    let nul: [&[u8]; 4] = [
        b"{\"a\": \"\\u0000\"}",
        b"{\"a\\u0000\": 1}",
        b"{\"a\": [{\"b\": \"x\\u0000\"}]}",
        b"{\"a\": null, \"\\u0000\": null}",
    ];
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
