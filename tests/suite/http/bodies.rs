//! Bodies that are too large, and invalid credentials. The suite `odd` covers malformed JSON and forms.

use serde_json::json;

use super::{KIM, assert_unharmed, raw, serve_process};
use crate::support::{PASSWORD, Served};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn a_form_over_16_kib_is_too_large() {
    let (_db, server) = serve_process(&[]);
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
    let (_db, server) = serve_process(&[]);
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
fn odd_credentials_are_an_invalid_request() {
    let (db, server) = serve_process(&[]);
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
        json!({"email": KIM, "password": PASSWORD, "device": ["Phone", true]}),
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
    // A string that merely is the wrong password gets the answer for a wrong password.
    let odd_passwords = ["", "\0", "a\0b", &"a".repeat(60_000), "\u{10ffff}"];
    for password in odd_passwords {
        assert_eq!(client.try_log_in(KIM, password).problem(), "invalid-credentials", "{:.20}", password);
    }
    assert_unharmed(&server);
}

/// The status of a request with a chunked body of unknown length.
fn chunked(server: &Served, method: &str, path: &str, content_type: &str, body: &[u8]) -> u16 {
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
