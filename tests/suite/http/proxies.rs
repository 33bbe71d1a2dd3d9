//! Forwarding headers are trusted only from trusted proxies.

use serde_json::json;

use super::{KIM, serve, serve_https, text, trail};
use crate::support::{Client, PASSWORD};

const TRUST: (&str, &str) = ("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32");

#[test]
fn behind_a_trusted_proxy_http_is_sent_on_to_https() {
    let (db, _server, mut client) = serve_https(&[TRUST]);
    let over_http = [("X-Forwarded-Proto", "http")];
    for path in ["/login?next=%2Fdashboard", "/", "/api/session", "/static/missing", "//evil.example/a"] {
        let answer = client.send("GET", path, &over_http, b"");
        assert!(matches!(answer.status, 301 | 308), "{answer:?}");
        assert_eq!(answer.header("location"), Some(format!("https://id.example.com{path}").as_str()));
        assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
        assert!(answer.header("strict-transport-security").is_some() && answer.header("x-request-id").is_some());
    }
    let body = json!({"email": KIM, "password": PASSWORD}).to_string();
    let headers = [over_http[0], ("Content-Type", "application/json")];
    let posted = client.send("POST", "/api/establish-session", &headers, body.as_bytes());
    assert!(matches!(posted.status, 307 | 308), "{posted:?}");
    assert_eq!((posted.header("set-cookie"), db.sql("SELECT count(*) FROM sessions")), (None, "0".into()));

    assert_eq!(client.send("GET", "/healthz", &over_http, b"").status, 200);
    assert_eq!(client.send("GET", "/login", &[("X-Forwarded-Proto", "https")], b"").status, 200);
    assert_eq!(client.get("/login").status, 200);
}

#[test]
fn the_client_is_the_rightmost_untrusted_address() {
    let trust = [("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32,10.0.0.0/8")];
    let (db, server) = serve(&trust);
    let cases = [
        ("198.51.100.4", "198.51.100.4"),
        ("203.0.113.7, 198.51.100.4", "198.51.100.4"),
        ("203.0.113.7, 198.51.100.4, 10.0.0.2", "198.51.100.4"),
        ("2001:db8::7", "2001:db8::7"),
        ("<script>", "127.0.0.1"),
    ];
    for (forwarded, ip) in cases {
        assert_eq!(ip_of_login(server.client(), forwarded), ip, "{forwarded}");
        assert!(trail(&db).iter().rev().take(3).all(|event| event["ip"] == ip), "{:?}", trail(&db));
    }
}

#[test]
fn forwarding_headers_of_untrusted_peers_are_ignored() {
    let (_db, _server, client) = serve_https(&[("SESSILE_TRUSTED_PROXIES", "10.0.0.0/8")]);
    assert_eq!(ip_of_login(client.clone(), "198.51.100.4"), "127.0.0.1");
    assert_eq!(client.clone().send("GET", "/login", &[("X-Forwarded-Proto", "http")], b"").status, 200);

    let (_db, server) = serve(&[]);
    assert_eq!(ip_of_login(server.client(), "198.51.100.4"), "127.0.0.1");
}

fn ip_of_login(mut client: Client, forwarded: &str) -> String {
    let body = json!({"email": KIM, "password": PASSWORD}).to_string();
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Forwarded-For", forwarded),
        ("X-Real-IP", "198.51.100.99"),
        ("Forwarded", "for=198.51.100.98"),
    ];
    let answer = client.send("POST", "/api/establish-session", &headers, body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    text(&answer.json()["session"]["ip"])
}
