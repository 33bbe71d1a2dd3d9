//! Pages opened under another origin than the public one, and refusals of an origin: the messages to people and to the
//! operator.

use super::{HTTPS, KIM, serve, serve_https, serve_process};
use crate::support::{Client, PASSWORD, Served};

const NOTICE: &str = "opened under another address";

/// A page requested with this host and these headers.
fn page(server: &Served, path: &str, host: &str, more: &[(&str, &str)]) -> String {
    let headers: Vec<_> = [("Host", host)].iter().chain(more).copied().collect();
    let answer = server.client().send("GET", path, &headers, b"");
    assert!(answer.status < 500, "{answer:?}");
    answer.body
}

#[test]
fn a_page_opened_over_http_links_to_https() {
    let (_db, server, _client) = serve_https(&[]);
    let body = page(&server, "/login?next=%2Fdevices", "id.example.com", &[]);
    let link = r#"href="https://id.example.com/login?next=%2Fdevices""#;
    assert!(body.contains(NOTICE) && body.contains(link), "{body}");
    for host in ["127.0.0.1", "www.example.com", "id.example.com:8080", "id.example.com.evil.example"] {
        let body = page(&server, "/login", host, &[]);
        assert!(body.contains(NOTICE) && body.contains(r#"href="https://id.example.com/login""#), "{host}: {body}");
        assert!(!body.contains("evil"), "the requested address must not be shown: {body}");
    }
}

#[test]
fn behind_a_tls_proxy_no_page_reports_a_wrong_origin() {
    let (_db, server, _client) = serve_https(&[]);
    let cases: [&[(&str, &str)]; 5] = [
        // Browsers send these headers over https only.
        &[("Sec-Fetch-Site", "none")],
        &[("Cookie", "__Host-aiq_visitor=AAAAAAAAAAAAAAAAAAAAAA")],
        &[("Referer", "https://id.example.com/login")],
        // A proxy that is not in the settings.
        &[("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https")],
        &[("Via", "1.1 proxy")],
    ];
    for sent in cases {
        let body = page(&server, "/login", "id.example.com", sent);
        assert!(!body.contains(NOTICE), "{sent:?}: {body}");
    }
    assert!(!page(&server, "/login", "id.example.com:443", &[("Sec-Fetch-Site", "none")]).contains(NOTICE));
}

#[test]
fn a_trusted_proxys_headers_count() {
    let (_db, server) = serve(&[("SESSILE_PUBLIC_URL", "http://shop.lan"), ("SESSILE_TRUSTED_PROXIES", "127.0.0.1")]);
    let over = |protocol: &str| page(&server, "/login", "shop.lan", &[("X-Forwarded-Proto", protocol)]);
    assert!(over("https").contains(NOTICE) && !over("http").contains(NOTICE));
}

#[test]
fn a_wrong_host_behind_a_proxy_is_only_logged() {
    let (_db, server) = serve_process(&[HTTPS, ("SESSILE_TRUSTED_PROXIES", "127.0.0.1")]);
    let own = format!("127.0.0.1:{}", server.port);
    for _ in 0..3 {
        let body = page(&server, "/login", &own, &[("X-Forwarded-For", "203.0.113.7")]);
        assert!(!body.contains(NOTICE), "{body}");
    }
    let metrics = server.client().get("/metrics").body;
    assert!(metrics.contains("sessile_wrong_host_requests_total 3\n"), "{metrics}");
    let (_, log) = server.stopped();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("proxy_set_header Host")).collect();
    assert_eq!(lines.len(), 1, "logged once a minute: {log}");
    assert!(lines[0].contains(&own) && lines[0].contains("https://id.example.com"), "{log}");
}

#[test]
fn a_refusal_names_both_origins() {
    let (_db, server) = serve_process(&[HTTPS]);
    let mut client = Client::new(&server.address, "http://id.example.com");
    let page = client.form("/login", &[("email", KIM), ("password", PASSWORD)]);
    assert_eq!(page.status, 403, "{page:?}");
    for words in ["That came from another site", "http://id.example.com", "https://id.example.com"] {
        assert!(page.body.contains(words), "{words}: {page:?}");
    }
    assert!(page.body.contains(r#"href="https://id.example.com/""#), "{page:?}");
    let call = client.json("POST", "/api/establish-session", &serde_json::json!({"email": KIM, "password": PASSWORD}));
    assert_eq!(call.problem(), "cross-origin");
    let detail = call.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains("http://id.example.com") && detail.contains("https://id.example.com"), "{detail}");
    let (_, log) = server.stopped();
    let refused: Vec<&str> = log.lines().filter(|line| line.contains("from another origin was refused")).collect();
    assert_eq!(refused.len(), 2, "{log}");
    for line in refused {
        assert!(line.contains("http://id.example.com") && line.contains("https://id.example.com"), "{line}");
    }
}

#[test]
fn a_page_names_another_site_only_by_its_origin() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    let named = client.send("POST", "/login", &[("Origin", "https://other.example")], b"");
    assert_eq!((named.status, named.body.contains("https://other.example")), (403, true), "{named:?}");
    assert!(!named.body.contains(r#"href="https://other.example"#), "the other origin is not a link: {named:?}");
    for odd in ["https://other.example/call/555", "<b>other.example</b>", "javascript:other.example", "null"] {
        let answer = client.send("POST", "/login", &[("Origin", odd)], b"");
        assert_eq!((answer.status, answer.body.contains("other.example")), (403, false), "{odd}: {answer:?}");
    }
}
