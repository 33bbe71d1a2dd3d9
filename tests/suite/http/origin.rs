//! The cross-origin rule, on every address with an unsafe method.

use super::{KIM, assert_unharmed, serve, serve_process, session_id};
use crate::support::{Answer, Client, PASSWORD, Served};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// An unsafe request that changes nothing, and the status that shows that its handler ran.
struct Unsafe {
    method: &'static str,
    path: &'static str,
    content_type: &'static str,
    body: &'static str,
    reached: u16,
}

const ALL: &[Unsafe] = &[
    Unsafe { method: "POST", path: "/login", content_type: FORM, body: "email=kim", reached: 422 },
    Unsafe { method: "POST", path: "/logout", content_type: FORM, body: "csrf=stale", reached: 422 },
    Unsafe { method: "POST", path: "/setup", content_type: FORM, body: "email=kim", reached: 422 },
    Unsafe { method: "POST", path: "/api/establish-session", content_type: JSON, body: "{}", reached: 400 },
    Unsafe { method: "PATCH", path: "/api/session/data", content_type: JSON, body: "{}", reached: 200 },
    Unsafe { method: "PATCH", path: "/api/session/data", content_type: JSON, body: "[]", reached: 400 },
];

impl Unsafe {
    fn send(&self, client: &mut Client, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("Content-Type", self.content_type)];
        all.extend(headers);
        client.send(self.method, self.path, &all, self.body.as_bytes())
    }
}

#[test]
fn requests_from_other_sites_are_refused() {
    let (_db, server) = serve_process(&[]);
    let (mut client, id) = signed_in(&server);
    let ours = format!("http://localhost:{}", server.port);
    let near = [format!("{ours}.evil.example"), format!("{ours}/"), format!("http://127.0.0.1:{}", server.port)];
    let https = ours.replace("http:", "https:");
    let mut headers: Vec<Vec<(&str, &str)>> = Vec::new();
    for site in ["cross-site", "same-site", "", "Same-Origin", "same-origin, cross-site"] {
        headers.push(vec![("Sec-Fetch-Site", site)]);
        headers.push(vec![("Sec-Fetch-Site", site), ("Origin", &ours)]);
    }
    for origin in ["null", "", "http://evil.example", "http://localhost", &https, &near[0], &near[1], &near[2]] {
        headers.push(vec![("Origin", origin)]);
    }
    for sent in &headers {
        for request in ALL {
            assert_cross_origin(&request.send(&mut client, sent), request.path);
        }
        assert_cross_origin(&client.send("DELETE", "/api/session", sent, b""), "/api/session");
    }
    assert_eq!(session_id(&mut client), id, "nothing was done");
    assert_unharmed(&server);
}

#[test]
fn requests_from_our_own_pages_pass() {
    let (_db, server) = serve(&[]);
    let ours = format!("http://localhost:{}", server.port);
    let headers: [&[(&str, &str)]; 5] = [
        &[("Sec-Fetch-Site", "same-origin")],
        &[("Sec-Fetch-Site", "none")],
        &[("Origin", &ours)],
        &[("Sec-Fetch-Site", "same-origin"), ("Origin", &ours)],
        // A proxy has rewritten `Origin`, but `Sec-Fetch-Site` is enough.
        &[("Sec-Fetch-Site", "same-origin"), ("Origin", "http://10.0.0.7:8080")],
    ];
    for sent in headers {
        let (mut client, _) = signed_in(&server);
        for request in ALL {
            let answer = request.send(&mut client, sent);
            assert_eq!(answer.status, request.reached, "{} {sent:?}: {answer:?}", request.path);
        }
        assert_eq!(client.send("DELETE", "/api/session", sent, b"").status, 204, "{sent:?}");
    }
}

#[test]
fn a_form_without_origin_headers_needs_its_token() {
    let (_db, server) = serve(&[]);
    let (mut client, id) = signed_in(&server);
    for request in ALL.iter().filter(|request| request.content_type == FORM) {
        assert_cross_origin(&request.send(&mut client, &[]), request.path);
    }
    let alien = server.client().form_token("/login");
    assert_cross_origin(&client.form("/logout", &[("csrf", &alien)]), "/logout");
    assert_eq!(session_id(&mut client), id, "nothing was done");

    let token = client.form_token("/dashboard");
    let out = client.form("/logout", &[("csrf", &token)]);
    assert_eq!((out.status, out.header("location")), (303, Some("/login?done=signed-out")), "{out:?}");

    let mut visitor = server.client().without_origin();
    let token = visitor.form_token("/login");
    let wrong = [("csrf", alien.as_str()), ("email", KIM), ("password", PASSWORD)];
    assert_cross_origin(&visitor.form("/login", &wrong), "/login");
    let right = [("csrf", token.as_str()), ("email", KIM), ("password", PASSWORD)];
    assert_eq!(visitor.form("/login", &right).status, 303);
}

#[test]
fn without_an_origin_only_json_patch_and_delete_pass() {
    let (db, server) = serve(&[]);
    let (mut client, _) = signed_in(&server);
    for content_type in [JSON, "application/json; charset=utf-8"] {
        let body = format!(r#"{{"email": "{KIM}", "password": "{PASSWORD}"}}"#);
        let answer = client.send("POST", "/api/establish-session", &[("Content-Type", content_type)], body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let rows = db.sql("SELECT group_concat(id) FROM sessions");
    let body = format!(r#"{{"email": "{KIM}", "password": "{PASSWORD}"}}"#);
    for content_type in [FORM, "text/plain", "multipart/form-data; boundary=x", "", "application/jsonp"] {
        let answer = client.send("POST", "/api/establish-session", &[("Content-Type", content_type)], body.as_bytes());
        assert!(matches!(answer.status, 403 | 415), "{content_type}: {answer:?}");
    }
    for path in ["/login", "/logout", "/setup", "/api/establish-session"] {
        let answer = client.send("POST", path, &[], b"");
        assert!(matches!(answer.status, 403 | 415), "{path}: {answer:?}");
    }
    assert_eq!(db.sql("SELECT group_concat(id) FROM sessions"), rows, "nothing was done");
    assert_eq!(client.json("PATCH", "/api/session/data", &serde_json::json!({"a": 1})).status, 200);
    assert_eq!(client.send("DELETE", "/api/session", &[], b"").status, 204);
}

#[test]
fn api_addresses_without_a_body_need_the_proof_too() {
    let (db, server) = serve(&[]);
    signed_in(&server);
    let (mut client, _) = signed_in(&server);
    let live = || db.sql("SELECT count(*) FROM sessions WHERE ended_at IS NULL");
    // The router treats all three paths alike.
    for path in ["/api/sessions/revoke-others", "/%61pi/sessions/revoke-others", "/api/%73essions/revoke-others"] {
        assert_eq!(client.send("POST", path, &[], b"").status, 403, "{path}");
        for content_type in [FORM, "text/plain", "multipart/form-data; boundary=x", "application/jsonp", ""] {
            let headers = [("Content-Type", content_type)];
            assert_eq!(client.send("POST", path, &headers, b"").status, 403, "{path} {content_type}");
            assert_eq!(client.send("POST", path, &headers, b"a=1").status, 415, "{path} {content_type}");
        }
    }
    let odd = client.send("DELETE", "/api/sessions/aiq_1_a", &[("Content-Type", "text/plain")], b"{}");
    assert_eq!((odd.status, odd.problem().as_str()), (415, "unsupported-media-type"), "{odd:?}");
    assert_eq!(live(), "2", "nothing was done");
    let done = client.send("POST", "/api/sessions/revoke-others", &[("Content-Type", JSON)], b"");
    assert_eq!((done.status, live().as_str()), (200, "1"), "{done:?}");
}

/// A client that sends no origin headers, and the id of its session.
fn signed_in(server: &Served) -> (Client, String) {
    let mut client = server.client().without_origin();
    client.log_in(KIM);
    let id = session_id(&mut client);
    (client, id)
}

fn assert_cross_origin(answer: &Answer, path: &str) {
    assert_eq!(answer.status, 403, "{path}: {answer:?}");
    assert_eq!(answer.header("set-cookie"), None, "{path}: {answer:?}");
    if path.starts_with("/api/") {
        assert_eq!(answer.problem(), "cross-origin", "{path}");
    } else {
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}: {answer:?}");
        assert!(answer.body.contains("That came from another site"), "{path}: {answer:?}");
    }
}
