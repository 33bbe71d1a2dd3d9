//! The browser sees the gate's own answer.

use super::{FETCH, NAVIGATION, Stand, Visitor, assert_of_the_gate, wire::Conn, with_every_proxy};

with_every_proxy!(
    a_navigation_without_a_sign_in_is_redirected,
    a_fetch_without_a_sign_in_is_401,
    a_post_without_a_sign_in_is_401_and_the_gate_gets_no_body,
    somebody_who_is_not_admitted_is_403,
    a_foreign_origin_is_403,
    another_host_never_reaches_the_app,
    refusals_on_one_connection_are_all_answered,
);

fn a_navigation_without_a_sign_in_is_redirected(stand: Stand) {
    for method in ["GET", "HEAD"] {
        let answer = stand.ask(Visitor::Nobody, &format!("{method} /deep/link?a=1&b=%26c"), &NAVIGATION);
        assert_of_the_gate(&answer, 303);
        let location = url::Url::parse(answer.head.get("location")).expect("an absolute address");
        assert_eq!(location.origin().ascii_serialization(), stand.origin());
        let to: Vec<_> = location.query_pairs().collect();
        assert_eq!((location.path(), to[0].1.as_ref()), ("/.sessile/start", "/deep/link?a=1&b=%26c"));
        assert_eq!(answer.head.get("cache-control"), "no-store");
    }
}

fn a_fetch_without_a_sign_in_is_401(stand: Stand) {
    let answer = stand.ask(Visitor::Nobody, "GET /api", &FETCH);
    assert_of_the_gate(&answer, 401);
    assert_eq!(answer.head.get("content-type"), "application/problem+json", "{answer:?}");
    assert!(answer.body.contains("login-required"), "{answer:?}");
    let frame = ["Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"];
    assert_of_the_gate(&stand.ask(Visitor::Nobody, "GET /", &frame), 401);
    assert_of_the_gate(&stand.ask(Visitor::Nobody, "HEAD /api", &FETCH), 401);
    assert_of_the_gate(&stand.ask(Visitor::Nobody, "OPTIONS /api", &FETCH), 401);
}

fn a_post_without_a_sign_in_is_401_and_the_gate_gets_no_body(stand: Stand) {
    let body = "a".repeat(50_000);
    let fields = ["Content-Type: application/x-www-form-urlencoded", "Accept: text/html"];
    assert_of_the_gate(&stand.send(Visitor::Nobody, "POST /form", &fields, body.as_bytes()), 401);
    let asked = stand.gate.asked();
    assert!(!asked.is_empty() && asked.iter().all(|question| question.body == 0), "{asked:?}");
}

fn somebody_who_is_not_admitted_is_403(stand: Stand) {
    let answer = stand.ask(Visitor::Guest, "GET /", &NAVIGATION);
    assert_of_the_gate(&answer, 403);
    assert!(answer.body.contains("Not admitted"), "{answer:?}");
    assert_of_the_gate(&stand.send(Visitor::Guest, "PUT /", &FETCH, b"text"), 403);
}

fn a_foreign_origin_is_403(stand: Stand) {
    let answer = stand.send(Visitor::Kim, "POST /", &["Origin: https://evil.example"], b"a=b");
    assert_of_the_gate(&answer, 403);
    let own = format!("Origin: {}", stand.origin());
    assert_eq!(stand.send(Visitor::Kim, "POST /", &[&own], b"a=b").status, 200);
    let sibling = stand.send(Visitor::Kim, "POST /", &["Sec-Fetch-Site: same-site"], b"a=b");
    assert_of_the_gate(&sibling, 403);
}

fn another_host_never_reaches_the_app(stand: Stand) {
    for host in
        ["Host: evil.example".to_owned(), "Host: localhost".to_owned(), format!("Host: evil.example:{}", stand.port)]
    {
        let answer = stand.ask(Visitor::Kim, "GET /", &[&host]);
        assert!(!answer.body.contains("\"app\":true"), "{answer:?}");
        assert!(answer.head.get("location").is_empty(), "{answer:?}");
    }
}

/// nginx once answered 502 to the second POST, because its connection to the gate was not kept.
fn refusals_on_one_connection_are_all_answered(stand: Stand) {
    let mut conn = Conn::open(stand.port);
    for line in ["POST /a", "POST /b", "GET /c", "DELETE /d", "POST /e"] {
        let body: &[u8] = if line.starts_with("POST") { b"a=b" } else { b"" };
        conn.send(&stand.request(Visitor::Nobody, line, &FETCH, body));
        let answer = conn.answer(line.split(' ').next().unwrap());
        assert_of_the_gate(&answer, 401);
        if answer.head.get("connection").eq_ignore_ascii_case("close") {
            conn = Conn::open(stand.port);
        }
    }
}
