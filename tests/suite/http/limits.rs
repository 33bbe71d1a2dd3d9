//! Request heads, bodies and cookies over their limits.

use sessile::base::keys::Keys;

use super::{KIM, assert_unharmed, raw, serve, serve_process};
use crate::support::Served;

#[test]
fn a_head_over_16_kib_is_refused_with_431() {
    let (_db, server) = serve_process(&[]);
    let many = |count: usize, size: usize| (0..count).map(|n| format!("X-{n}: {}", "a".repeat(size))).collect();
    let heads: [(&str, Vec<String>); 4] = [
        ("one field", many(1, 17 * 1024)),
        ("a cookie", vec![format!("Cookie: a={}", "b".repeat(40 * 1024))]),
        ("all in all", many(20, 900)),
        ("more fields than anybody sends", many(90, 200)),
    ];
    for (what, fields) in &heads {
        for path in ["/login", "/api/session", "/static/missing", "/healthz"] {
            let reply = ask(&server, "GET", path, fields, b"");
            assert_eq!(reply.status, 431, "{what} {path}: {}", reply.head);
            assert_eq!(reply.all("connection"), ["close"], "{what} {path}");
            assert!(!reply.all("x-request-id").is_empty() && !reply.all("content-security-policy").is_empty());
        }
    }
    let long = format!("/login?next={}", "a".repeat(17 * 1024));
    assert_eq!(ask(&server, "GET", &long, &[], b"").status, 431);
    let told = ask(&server, "GET", "/api/session", &heads[0].1, b"");
    assert_eq!(told.all("content-type"), ["application/problem+json"]);
    assert!(String::from_utf8_lossy(&told.body).contains("\"head-too-large\""));
    assert_eq!(ask(&server, "GET", "/login", &many(15, 1000), b"").status, 200, "15 KiB are accepted");
    assert_unharmed(&server);
}

#[test]
fn a_head_beyond_the_buffer_is_refused_with_431() {
    let (_db, server) = serve_process(&[]);
    let field = |size: usize| vec![format!("X-Long: {}", "a".repeat(size))];
    for fields in [field(130_000), field(200_000), field(2_000_000), vec!["X-Many: 1".to_owned(); 200]] {
        assert_eq!(ask(&server, "GET", "/login", &fields, b"").status, 431);
    }
    assert_unharmed(&server);
}

#[test]
fn a_body_over_the_limit_is_refused_with_413_everywhere() {
    let (db, server) = serve_process(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let cookie = format!("Cookie: {}={}", server.cookie("aiq_session"), client.cookies["aiq_session"]);
    let large = vec![b'a'; 65 * 1024];
    let targets = [
        ("GET", "/dashboard"),
        ("GET", "/healthz"),
        ("POST", "/nothing"),
        ("POST", "/api/nothing"),
        ("DELETE", "/api/session"),
        ("PUT", "/api/session"),
        ("POST", "/logout"),
    ];
    for (method, path) in targets {
        let told = vec![cookie.clone(), format!("Content-Length: {}", large.len())];
        assert_eq!(ask(&server, method, path, &told, &large).status, 413, "{method} {path}");
        let chunked = vec![cookie.clone(), "Transfer-Encoding: chunked".to_owned()];
        let body = [format!("{:x}\r\n", large.len()).as_bytes(), &large, b"\r\n0\r\n\r\n"].concat();
        assert_eq!(ask(&server, method, path, &chunked, &body).status, 413, "{method} {path} in chunks");
    }
    let absurd = vec!["Content-Length: 99999999999999999999999999".to_owned()];
    assert!(matches!(ask(&server, "POST", "/login", &absurd, b"a").status, 400 | 413));
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE ended_at IS NULL"), "1", "no request was carried out");
    assert_unharmed(&server);
}

#[test]
fn a_session_cookie_over_4_kib_never_reaches_the_database() {
    let (db, server) = serve(&[]);
    let keys = Keys::read_or_make(std::path::Path::new(&db.key_file())).expect("keys");
    let signed =
        |value: String| format!("Cookie: {}", keys.sign_cookie(&server.cookie("aiq_session"), value).encoded());
    let key = format!("aiq_1795460400123_{}.{}", "a".repeat(22), "b".repeat(43));
    // From now on a request that queries the database gets a 503.
    db.sql("ALTER TABLE sessions RENAME TO sessions_away");
    assert_eq!(ask(&server, "GET", "/api/session", &[signed(key.clone())], b"").status, 503);
    let long = [
        signed(format!("{key}{}", "b".repeat(4096))),
        format!("Cookie: {}={}", server.cookie("aiq_session"), "x".repeat(4097)),
        format!("Cookie: {}={}", server.cookie("aiq_session"), "x".repeat(12_000)),
    ];
    for cookie in long {
        let reply = ask(&server, "GET", "/api/session", &[cookie], b"");
        assert_eq!(reply.status, 401, "{}", reply.head);
        assert!(String::from_utf8_lossy(&reply.body).contains("\"unknown\""));
    }
    db.sql("ALTER TABLE sessions_away RENAME TO sessions");
}

fn ask(server: &Served, method: &str, target: &str, fields: &[String], body: &[u8]) -> raw::Reply {
    let mut lines = vec![format!("{method} {target} HTTP/1.1"), format!("Host: localhost:{}", server.port)];
    lines.push(format!("Origin: http://localhost:{}", server.port));
    lines.extend_from_slice(fields);
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    raw::ask(server, &lines, body)
}
