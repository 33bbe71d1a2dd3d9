//! Malformed and forged cookies, as other sites, proxies and attackers may set them.

use sessile::base::keys::Keys;

use super::{Target, all_places, pairs};
use crate::http::{ALEX, KIM, raw, serve, serve_https};
use crate::support::{Served, add_user};

/// The API's answer to a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// The session cookie is not one of ours.
    Unknown,
    /// There is no session cookie.
    LoginRequired,
    /// The request cannot be read at all.
    Unreadable,
}
use Told::{LoginRequired, Unknown, Unreadable};

#[test]
fn no_cookie_makes_the_program_fail_or_lets_anybody_in() {
    let target = Target::new(&[]);
    let cookies = odd_cookies(&target);
    let lines: Vec<_> = cookies.iter().map(|(cookie, _)| [b"Cookie: ", cookie.as_slice()].concat()).collect();
    for (line, (method, path)) in pairs(&lines, all_places()) {
        target.ask(method, &path, &[line], b"");
    }
    for ((cookie, told), line) in cookies.iter().zip(&lines) {
        let shown = format!("{:.80}", String::from_utf8_lossy(cookie));
        let answer = target.ask("GET", "/api/session", &[line], b"");
        // A head over 16 KiB is refused as a whole.
        let told = if cookie.len() >= 16 * 1024 { Unreadable } else { *told };
        match told {
            Unknown => {
                assert_eq!((answer.status, answer.problem().as_str()), (401, "session-ended"), "{shown}");
                assert_eq!(answer.json()["reason"], "unknown", "{shown}");
            }
            LoginRequired => {
                assert_eq!((answer.status, answer.problem().as_str()), (401, "login-required"), "{shown}");
            }
            Unreadable => assert!(matches!(answer.status, 400 | 431), "{shown}: {answer:?}"),
        }
    }
    target.must_be_unharmed();
}

fn odd_cookies(target: &Target) -> Vec<(Vec<u8>, Told)> {
    let name = target.server.cookie("aiq_session");
    let named = |jar: String| jar.replace("aiq_session", &name).into_bytes();
    let good = target.session();
    let long = "x".repeat(4096);
    let key = format!("aiq_1795460400123_{}.{}", "a".repeat(22), "b".repeat(43));
    let mut odd: Vec<(Vec<u8>, Told)> = Vec::new();
    for value in odd_values(target) {
        odd.push((named(format!("aiq_session={value}")), Unknown));
    }
    for jar in [
        format!("aiq_session={key}; aiq_session={key}"),
        format!("aiq_session=x; aiq_session=; aiq_session=\"{key}\""),
        "aiq_session=x; ".repeat(2000),
        "$Version=1; aiq_session=x; $Path=/".to_owned(),
        "aiq_session=a,aiq_session=b".to_owned(),
    ] {
        odd.push((named(jar), Unknown));
    }
    for jar in [
        "aiq_session".to_owned(),
        "=".to_owned(),
        "=x; ;;; =; a".to_owned(),
        "%".to_owned(),
        format!("AIQ_SESSION={good}"),
        format!("Aiq_Session={good}"),
        format!("aiq%5Fsession={good}"),
        format!("__Host-aiq_session={good}"),
        format!("__host-aiq_session={good}"),
        format!("\"aiq_session\"={good}"),
        format!("aiq_session.{good}"),
        format!("a=\"; aiq_session-x={good}"),
        format!("aiq_device={good}; aiq_visitor={good}; aiq_bounce={good}"),
        format!("aiq_device={long}; aiq_visitor={long}; aiq_bounce={long}"),
        // Unicode white space, which is not white space in a header (RFC 9110, 5.6.3).
        format!("\u{2000}aiq_session={good}"),
        format!("aiq_session\u{a0}={good}"),
        format!("\u{3000}aiq_session\u{2028}={good}"),
        format!("(aiq_session={good}"),
        format!("a aiq_session={good}"),
        "aiq_device=%00; aiq_visitor=%ff; aiq_bounce=".to_owned(),
        format!("a={long}{long}{long}{long}"),
        "a=b; ".repeat(5000),
    ] {
        odd.push((named(jar), LoginRequired));
    }
    odd.push((b"\xff\xfe=\xff".to_vec(), LoginRequired));
    odd.push((b"aiq_session\xff=x".to_vec(), LoginRequired));
    odd.push((b"aiq_session=\x7f".to_vec(), Unreadable));
    odd.push((b"aiq_session=\0".to_vec(), Unreadable));
    odd.push((b"aiq_session=a\0b".to_vec(), Unreadable));
    odd.push(("x".repeat(200_000).into_bytes(), Unreadable));
    odd
}

/// Invalid values, some of them almost valid.
fn odd_values(target: &Target) -> Vec<String> {
    let good = target.session();
    let key = format!("aiq_1795460400123_{}.{}", "a".repeat(22), "b".repeat(43));
    let (own, other) = (parts(good), parts(&sign_elsewhere(&key)));
    let long = "x".repeat(4096);
    let mut values: Vec<String> =
        ["", "%", "%00", "%ff%fe", "\"\"", "\t", "null", "{}", "a:b:c"].map(str::to_owned).into();
    values.extend([
        key.clone(),
        format!("\"{key}\""),
        key.replace('a', "é"),
        good[1..].to_owned(),
        good[..good.len() - 1].to_owned(),
        good[..good.len() / 2].to_owned(),
        format!("{good}x"),
        format!("{good}%00"),
        format!("x{good}"),
        good.replace('.', ".."),
        good.to_uppercase(),
        // Another key's signature, another instance's signature, swapped parts, a signature alone, no signature.
        format!("{}{}", other.0, own.1),
        format!("{}{}", own.0, other.1),
        sign_elsewhere(&own.1),
        format!("{}{}", own.1, own.0),
        own.0.clone(),
        own.1.clone(),
        format!("{}{}", "A".repeat(own.0.len()), own.1),
        long.clone(),
        format!("{good}{long}"),
        format!("{long}{good}"),
        long.repeat(16),
    ]);
    values
}

/// The signature of a session cookie, and the signed text.
fn parts(cookie: &str) -> (String, String) {
    let cut = cookie.find("aiq_").expect("a session key");
    (cookie[..cut].to_owned(), cookie[cut..].to_owned())
}

/// Signs a session cookie with the key of another instance.
fn sign_elsewhere(key: &str) -> String {
    let folder = std::env::temp_dir().join(sessile::base::secret::random_name("sessile_test_").expect("a name"));
    std::fs::create_dir(&folder).expect("a folder");
    let keys = Keys::read_or_make(&folder.join("session.key")).expect("keys");
    std::fs::remove_dir_all(&folder).expect("its end");
    keys.sign_cookie("aiq_session", key.to_owned()).encoded().to_string().split_off("aiq_session=".len())
}

#[test]
fn the_session_is_found_among_odd_neighbours() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let name = server.cookie("aiq_session");
    let good = format!("{name}={}", client.cookies["aiq_session"]);
    let stale = format!("{name}=aiq_1795460400123_{}.{}", "a".repeat(22), "b".repeat(43));
    let jars: Vec<Vec<u8>> = vec![
        good.clone().into_bytes(),
        format!("flag; {good}").into_bytes(),
        // A value may be quoted (RFC 6265, 4.1.1).
        format!("{name}=\"{}\"", client.cookies["aiq_session"]).into_bytes(),
        format!("{good}; =x; %; %ff=%ff; a=\"b;c\"").into_bytes(),
        format!("{stale}; {good}").into_bytes(),
        format!("{good}; {stale}").into_bytes(),
        format!("{name}=; {good}").into_bytes(),
        format!("{good}; {good}").into_bytes(),
        format!("a=b;\t{} \t=\t{}\t", name, client.cookies["aiq_session"]).into_bytes(),
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
fn a_logout_ends_the_session_despite_odd_cookies() {
    let (db, server) = serve(&[]);
    for neighbour in ["name=caf\u{e9}", "flag", "aiq%5Fsession=x", "%ff=%ff"] {
        let mut client = server.client();
        client.log_in(KIM);
        let token = client.form_token("/dashboard");
        let jar = format!("{neighbour}; {}={}", server.cookie("aiq_session"), client.cookies["aiq_session"]);
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
fn a_login_rotates_the_session_despite_odd_cookies() {
    let (db, server) = serve(&[]);
    for neighbour in ["name=caf\u{e9}", "flag", "aiq%5Fsession=x"] {
        let mut client = server.client();
        client.log_in(KIM);
        let jar = format!("{neighbour}; {}={}", server.cookie("aiq_session"), client.cookies["aiq_session"]);
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
        db.sql("UPDATE sessions SET key_used_at = INSTANT(0) WHERE ended_at IS NULL");
        assert_eq!(client.get("/api/session").status, 401, "the old key is dead next to {neighbour}");
        db.sql("UPDATE sessions SET ended_at = INSTANT(0), ended_reason = 'revoked' WHERE ended_at IS NULL");
    }
}

/// `__Host-` protects against sibling domains only if names are compared as they were sent. A sibling domain can set a
/// cookie whose percent-encoded name decodes to ours (RFC 6265bis, 4.1.3.2).
#[test]
fn a_cookie_whose_name_only_decodes_to_ours_is_not_ours() {
    let (db, server, mut attacker) = serve_https(&[]);
    add_user(&db, ALEX, "member");
    attacker.log_in(ALEX);
    let value = attacker.cookies["__Host-aiq_session"].clone();
    let names = [
        "__Host%2Daiq_session",
        "%5F_Host-aiq_session",
        "__Host-aiq%5Fsession",
        "__host-aiq_session",
        "aiq_session",
        "\u{2000}__Host-aiq_session",
        "\u{a0}__Host-aiq_session",
        "\u{85}__Host-aiq_session",
        "\u{3000}__Host-aiq_session",
        "\u{2028}__Host-aiq_session",
        "\u{1680}__Host-aiq_session",
        "\u{b}__Host-aiq_session",
        "\u{c}__Host-aiq_session",
        "__Host-aiq_session\u{2000}",
        "__Host-aiq_session\u{a0}",
        "__Host-aiq_session\u{c}",
    ];
    for name in names {
        let jar = format!("{name}={value}");
        // A head with control characters is refused as a whole.
        let status = status_of(&server, "GET /api/session", jar.as_bytes());
        assert!(matches!(status, 400 | 401), "{name:?}: {status}");
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
        let is_own = reply.status == 200 && body.contains(KIM);
        assert!(is_own || reply.status == 400, "{name:?} before the victim's own: {body}");
    }
}

/// A browser holds at most one cookie of ours under a name. If there are two, a page of another scheme or subdomain may
/// have planted either, so neither counts.
#[test]
fn two_different_sessions_under_one_name_are_none() {
    let (db, server) = serve(&[]);
    add_user(&db, ALEX, "member");
    let [kim, alex] = [KIM, ALEX].map(|email| {
        let mut client = server.client();
        client.log_in(email);
        format!("{}={}", server.cookie("aiq_session"), client.cookies["aiq_session"])
    });
    for jar in [format!("{kim}; {alex}"), format!("{alex}; {kim}"), format!("{kim}; x=y; {alex}; {kim}")] {
        assert_eq!(status_of(&server, "GET /api/session", jar.as_bytes()), 401, "{jar}");
    }
    assert_eq!(status_of(&server, "GET /api/session", kim.as_bytes()), 200);
}

fn status_of(server: &Served, request: &str, cookie: &[u8]) -> u16 {
    let lines = [
        format!("{request} HTTP/1.1").into_bytes(),
        format!("Host: localhost:{}", server.port).into_bytes(),
        format!("Origin: http://localhost:{}", server.port).into_bytes(),
        [b"Cookie: ", cookie].concat(),
    ];
    raw::ask(server, &lines.each_ref().map(Vec::as_slice), b"").status
}
