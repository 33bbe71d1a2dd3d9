//! Cookies as neighbours, proxies and attackers leave them.

use super::{ALEX, KIM, assert_unharmed, raw, serve, serve_https};
use crate::support::{Server, add_user};

const REQUESTS: [&str; 6] =
    ["GET /", "GET /login", "GET /dashboard", "GET /api/session", "DELETE /api/session", "POST /logout"];

#[test]
fn no_cookie_makes_the_program_fail() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let good = client.cookies["aiq_session"].clone();
    let key = format!("aiq_1795460400123_{}.{}", "a".repeat(22), "b".repeat(43));
    let long = "x".repeat(4096);
    let odd = [
        "aiq_session".to_owned(),
        "aiq_session=".to_owned(),
        "=".to_owned(),
        "=x; ;;; =; a".to_owned(),
        "aiq_session=%".to_owned(),
        "aiq_session=%00".to_owned(),
        "aiq_session=%ff%fe".to_owned(),
        "aiq_session=\"\"".to_owned(),
        format!("aiq_session=\"{key}\""),
        format!("aiq_session={key}"),
        format!("aiq_session={key}; aiq_session={key}"),
        format!("aiq_session={}", key.replace('a', "é")),
        format!("aiq_session={}", &good[1..]),
        format!("aiq_session={good}x"),
        format!("aiq_session=x{good}"),
        format!("aiq_session={}", good.replace('.', "..")),
        format!("AIQ_SESSION={good}"),
        format!("aiq_session ={}", &good[2..]),
        format!("aiq_session={long}"),
        format!("aiq_session={long}{long}"),
        format!("a={long}{long}{long}{long}"),
        "aiq_session=x; ".repeat(500),
        format!("aiq_device={long}; aiq_visitor={long}; aiq_bounce={long}"),
        "aiq_device=%00; aiq_visitor=%ff; aiq_bounce=".to_owned(),
        "$Version=1; aiq_session=x; $Path=/".to_owned(),
        "aiq_session=a,aiq_session=b".to_owned(),
        "aiq_session=\t; aiq_session=\u{7f}".to_owned(),
    ];
    for cookie in &odd {
        for request in REQUESTS {
            let status = status_of(&server, request, cookie.as_bytes());
            assert!(matches!(status, 200 | 303 | 400 | 401 | 415 | 431), "{request} {cookie:.80}: {status}");
            assert!(!request.contains("/api") || status != 200, "{request} {cookie:.80}");
        }
    }
    for bytes in [b"aiq_session=\0".as_slice(), b"aiq_session=a\0b", b"\xff\xfe=\xff", b"aiq_session=\xff"] {
        for request in REQUESTS {
            let status = status_of(&server, request, bytes);
            assert!(status < 500, "{request} {bytes:?}: {status}");
        }
    }
    assert_eq!(client.get("/api/session").status, 200);
    assert_unharmed(&server);
}

#[test]
fn the_session_is_found_among_odd_neighbours() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let good = format!("aiq_session={}", client.cookies["aiq_session"]);
    let stale = format!("aiq_session=aiq_1795460400123_{}.{}", "a".repeat(22), "b".repeat(43));
    let jars: Vec<Vec<u8>> = vec![
        good.clone().into_bytes(),
        format!("flag; {good}").into_bytes(),
        format!("{good}; =x; %; %ff=%ff; a=\"b;c\"").into_bytes(),
        format!("{stale}; {good}").into_bytes(),
        format!("{good}; {stale}").into_bytes(),
        format!("aiq_session=; {good}").into_bytes(),
        format!("AIQ_SESSION=x; {good}").into_bytes(),
        format!("a=b\r\nCookie: {good}").into_bytes(),
        format!("{good}\r\nCookie: {stale}").into_bytes(),
        format!("name=caf\u{e9}; {good}").into_bytes(),
        [b"name=caf\xe9; ".as_slice(), good.as_bytes()].concat(),
        format!("aiq%5Fsession=x; {good}").into_bytes(),
    ];
    let lost: Vec<String> = jars
        .iter()
        .filter(|jar| status_of(&server, "GET /api/session", jar) != 200)
        .map(|jar| String::from_utf8_lossy(jar).into_owned())
        .collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn a_logout_ends_the_session_whatever_stands_beside_its_cookie() {
    let (db, server) = serve(&[]);
    for neighbour in ["name=caf\u{e9}", "flag", "aiq%5Fsession=x", "%ff=%ff"] {
        let mut client = server.client();
        client.log_in(KIM);
        let token = client.form_token("/dashboard");
        let jar = format!("{neighbour}; aiq_session={}", client.cookies["aiq_session"]);
        let lines = [
            "POST /logout HTTP/1.1".to_owned(),
            format!("Host: localhost:{}", server.port),
            "Content-Type: application/x-www-form-urlencoded".to_owned(),
            format!("Content-Length: {}", token.len() + 5),
            format!("Cookie: {jar}"),
        ];
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        let reply = raw::ask(&server, &lines, format!("csrf={token}").as_bytes());
        assert_eq!(reply.status, 303, "{neighbour}: {}", reply.head);
        assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE ended_at IS NULL"), "0", "beside {neighbour}");
        assert_eq!(client.get("/api/session").status, 401, "beside {neighbour}");
    }
}

#[test]
fn a_login_rotates_the_session_whatever_stands_beside_its_cookie() {
    let (db, server) = serve(&[]);
    for neighbour in ["name=caf\u{e9}", "flag", "aiq%5Fsession=x"] {
        let mut client = server.client();
        client.log_in(KIM);
        let jar = format!("{neighbour}; aiq_session={}", client.cookies["aiq_session"]);
        let body = format!(r#"{{"email": "{KIM}", "password": "{}"}}"#, crate::support::PASSWORD);
        let lines = [
            "POST /api/establish-session HTTP/1.1".to_owned(),
            "Host: localhost".to_owned(),
            "Content-Type: application/json".to_owned(),
            format!("Content-Length: {}", body.len()),
            format!("Cookie: {jar}"),
        ];
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        assert_eq!(raw::ask(&server, &lines, body.as_bytes()).status, 200);
        assert_eq!(client.get("/api/session").status, 401, "the old key is dead, beside {neighbour}");
        db.sql("UPDATE sessions SET ended_at = INSTANT(0), ended_reason = 'revoked' WHERE ended_at IS NULL");
    }
}

/// `__Host-` keeps sibling domains from setting a cookie only if its name is compared as it was sent: they may well set
/// one whose percent-encoded name decodes to ours (RFC 6265bis, 4.1.3.2).
#[test]
fn a_cookie_whose_name_only_decodes_to_ours_is_not_ours() {
    let (db, server, mut attacker) = serve_https(&[]);
    add_user(&db, ALEX, "member");
    attacker.log_in(ALEX);
    let value = attacker.cookies["__Host-aiq_session"].clone();
    let names =
        ["__Host%2Daiq_session", "%5F_Host-aiq_session", "__Host-aiq%5Fsession", "__host-aiq_session", "aiq_session"];
    for name in names {
        let jar = format!("{name}={value}");
        assert_eq!(status_of(&server, "GET /api/session", jar.as_bytes()), 401, "{name}");
    }
    let mut victim = attacker.clone();
    victim.cookies.clear();
    victim.log_in(KIM);
    let own = victim.cookies["__Host-aiq_session"].clone();
    for name in names {
        let jar = format!("{name}={value}; __Host-aiq_session={own}");
        let lines = [b"GET /api/session HTTP/1.1".to_vec(), b"Host: a".to_vec(), format!("Cookie: {jar}").into_bytes()];
        let reply = raw::ask(&server, &lines.each_ref().map(Vec::as_slice), b"");
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(reply.status == 200 && body.contains(KIM), "{name} before the victim's own: {body}");
    }
}

fn status_of(server: &Server, request: &str, cookie: &[u8]) -> u16 {
    let lines = [
        format!("{request} HTTP/1.1").into_bytes(),
        format!("Host: localhost:{}", server.port).into_bytes(),
        format!("Origin: http://localhost:{}", server.port).into_bytes(),
        [b"Cookie: ", cookie].concat(),
    ];
    raw::ask(server, &lines.each_ref().map(Vec::as_slice), b"").status
}
