//! When a person follows a link from another site, the browser withholds the SameSite=Strict session cookie. Our own
//! page then opens the address again.

use url::Url;

use super::{KIM, raw, serve};
use crate::support::{Answer, Served};

const NAVIGATION: [(&str, &str); 3] =
    [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];

#[test]
fn a_navigation_from_elsewhere_without_a_cookie_bounces_once() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    let first = client.send("GET", "/dashboard?a=1&b=2", &NAVIGATION, b"");
    assert_eq!((first.status, target(&first.body).as_deref()), (200, Some("/dashboard?a=1&b=2")), "{first:?}");
    assert_eq!(first.header("cache-control"), Some("no-store"));
    let mark = first.sets("aiq_bounce").expect("a mark");
    assert!(mark.contains("SameSite=Lax") && mark.contains("HttpOnly") && mark.contains("Path=/"), "{mark}");
    assert!(mark.contains("Max-Age=10;") || mark.ends_with("Max-Age=10"), "{mark}");

    let second = client.send("GET", "/dashboard?a=1&b=2", &NAVIGATION, b"");
    assert_eq!(second.status, 303, "{second:?}");
    assert_eq!(second.header("location"), Some("/login?next=%2Fdashboard%3Fa%3D1%26b%3D2"));
    assert!(!client.cookies.contains_key("aiq_bounce"), "the mark is removed: {second:?}");
}

#[test]
fn the_bounced_navigation_arrives_with_the_cookie() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let session = client.cookies.remove("aiq_session").expect("a session");
    let first = client.send("GET", "/dashboard", &NAVIGATION, b"");
    assert_eq!(target(&first.body).as_deref(), Some("/dashboard"), "{first:?}");
    client.cookies.insert("aiq_session".into(), session);
    let own = [("Sec-Fetch-Site", "same-origin"), NAVIGATION[1], NAVIGATION[2]];
    let second = client.send("GET", "/dashboard", &own, b"");
    assert!(second.status == 200 && second.body.contains("Sign out"), "{second:?}");
}

#[test]
fn other_requests_do_not_bounce() {
    let (_db, server) = serve(&[]);
    let site = |value| [("Sec-Fetch-Site", value), NAVIGATION[1], NAVIGATION[2]];
    for value in ["same-origin", "none"] {
        assert_straight(server.client().send("GET", "/dashboard", &site(value), b""), 303);
    }
    assert_straight(server.client().get("/dashboard"), 303);
    for (at, other) in [(1, "cors"), (1, "no-cors"), (2, "iframe"), (2, "empty")] {
        let mut headers = NAVIGATION;
        headers[at].1 = other;
        assert_straight(server.client().send("GET", "/dashboard", &headers, b""), 303);
    }
    assert_straight(server.client().send("HEAD", "/dashboard", &NAVIGATION, b""), 303);
    assert_straight(server.client().send("POST", "/login", &NAVIGATION, b""), 403);
    assert_straight(server.client().send("GET", "/api/session", &NAVIGATION, b""), 401);
    assert_straight(server.client().send("GET", "/api/session/data", &NAVIGATION, b""), 401);
    assert_straight(server.client().send("GET", "/api/nothing", &NAVIGATION, b""), 404);
    assert_straight(server.client().send("GET", "/healthz", &NAVIGATION, b""), 200);
    assert_straight(server.client().send("GET", "/static/missing", &NAVIGATION, b""), 404);
    assert_straight(server.client().send("GET", "/setup?token=secret", &NAVIGATION, b""), 403);

    let mut client = server.client();
    client.log_in(KIM);
    assert_straight(client.send("GET", "/dashboard", &NAVIGATION, b""), 200);
}

#[test]
fn a_bounce_never_leads_to_another_host() {
    let (_db, server) = serve(&[]);
    let paths = [
        "//evil.example",
        "//evil.example/dashboard",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/%5Cevil.example",
        "/.//evil.example",
        "/..//evil.example",
        "/a/..//evil.example",
        "/;url=//evil.example",
        "/?\";url=//evil.example",
        "/?'%3E%3Cscript%3E",
        "/?x=1;url=https://evil.example",
        "http://evil.example/dashboard",
        "http://evil.example//evil.example",
        "https:evil.example",
    ];
    for path in paths {
        let reply = navigate(&server, path);
        if let Some(target) = target(&reply) {
            let base = Url::parse(&format!("http://localhost:{}/x", server.port)).expect("a base");
            let leads = base.join(&target).unwrap_or_else(|error| panic!("{path} to {target}: {error}"));
            assert_eq!(leads.origin(), base.origin(), "{path} to {target}");
        }
    }
    for path in ["//evil.example", "//evil.example/dashboard", "///evil.example", "/\\evil.example"] {
        assert_eq!(target(&navigate(&server, path)), None, "{path}");
    }
}

#[test]
fn the_bounce_page_holds_the_address_as_text() {
    let (_db, server) = serve(&[]);
    let page = navigate(&server, "/dashboard?a=\"><script>alert(1)</script>'");
    assert!(!page.contains("<script>alert"), "{page}");
}

fn navigate(server: &Served, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1");
    let headers = NAVIGATION.map(|(name, value)| format!("{name}: {value}"));
    let mut lines = vec![request.as_bytes(), b"Host: localhost"];
    lines.extend(headers.iter().map(String::as_bytes));
    let reply = raw::ask(server, &lines, b"");
    assert!(reply.status < 500, "{path}: {}", reply.head);
    String::from_utf8(reply.body).expect("a text")
}

fn assert_straight(answer: Answer, status: u16) {
    assert_eq!((answer.status, target(&answer.body)), (status, None), "{answer:?}");
    assert_eq!(answer.sets("aiq_bounce"), None, "{answer:?}");
}

/// The address that the page's refresh opens.
fn target(page: &str) -> Option<String> {
    let (_, rest) = page.split_once("http-equiv=\"refresh\" content=\"0; url=")?;
    Some(
        rest.split('"')
            .next()?
            .replace("&#38;", "&")
            .replace("&amp;", "&")
            .replace("&#39;", "'")
            .replace("&#34;", "\""),
    )
}

#[test]
fn a_visitor_from_another_site_reaches_the_login_page() {
    let (_db, server) = serve(&[]);
    for site in ["cross-site", "same-site"] {
        let mut client = server.client();
        let elsewhere = [("Sec-Fetch-Site", site), NAVIGATION[1], NAVIGATION[2]];
        assert!(target(&client.send("GET", "/login", &elsewhere, b"").body).is_some());
        let own = [("Sec-Fetch-Site", "same-origin"), NAVIGATION[1], NAVIGATION[2]];
        let page = client.send("GET", "/login", &own, b"");
        assert!(page.status == 200 && page.body.contains("name=\"csrf\""), "{page:?}");
        assert!(!client.cookies.contains_key("aiq_bounce"), "{page:?}");
    }
}
