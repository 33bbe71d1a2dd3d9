//! WebSockets and server-sent events.

use super::{FETCH, Stand, Visitor, assert_of_the_gate, wire::Conn, with_every_proxy};

with_every_proxy!(
    a_websocket_opens_and_echoes,
    a_websocket_without_a_sign_in_is_401,
    a_websocket_from_another_origin_is_403,
    only_the_upgrade_to_a_websocket_reaches_the_app,
    an_event_arrives_before_the_stream_ends,
);

pub const UPGRADE: [&str; 5] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-Fetch-Mode: websocket",
];

fn a_websocket_opens_and_echoes(stand: Stand) {
    let origin = format!("Origin: {}", stand.origin());
    let fields: Vec<&str> = UPGRADE.into_iter().chain([origin.as_str()]).collect();
    let mut conn = Conn::open(stand.port);
    conn.send(&stand.request(Visitor::Kim, "GET /ws", &fields, b""));
    let head = conn.head();
    assert!(head.first.starts_with("HTTP/1.1 101 "), "{head:?}");
    assert_eq!(head.get("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    for text in [b"one!", b"two!"] {
        // A masked text frame; its mask is zero.
        let frame = [&[0x81, 0x84, 0, 0, 0, 0], &text[..]].concat();
        conn.send(&frame);
        assert_eq!(conn.read_exactly(frame.len()), frame);
    }
    let asked = stand.gate.asked();
    assert!(
        !asked[0].head.get("sec-websocket-key").is_empty(),
        "the gate cannot know that it is an upgrade: {asked:?}"
    );
}

fn a_websocket_without_a_sign_in_is_401(stand: Stand) {
    assert_of_the_gate(&stand.ask(Visitor::Nobody, "GET /ws", &UPGRADE), 401);
}

fn a_websocket_from_another_origin_is_403(stand: Stand) {
    let fields: Vec<&str> = UPGRADE.into_iter().chain(["Origin: https://evil.example"]).collect();
    assert_of_the_gate(&stand.ask(Visitor::Kim, "GET /ws", &fields), 403);
}

/// A client could send the app requests over such a connection that no gate sees.
fn only_the_upgrade_to_a_websocket_reaches_the_app(stand: Stand) {
    let others = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"];
    for line in ["GET /", "GET /.sessile/start"] {
        let answer = stand.ask(Visitor::Kim, line, &others);
        assert!(answer.status != 101 && !answer.body.to_ascii_lowercase().contains("\"upgrade\""), "{answer:?}");
        assert!(answer.status == 200 || answer.status == 403, "{answer:?}");
    }
}

fn an_event_arrives_before_the_stream_ends(stand: Stand) {
    let mut conn = Conn::open(stand.port);
    conn.send(&stand.request(Visitor::Kim, "GET /events", &["Accept: text/event-stream"], b""));
    let head = conn.head();
    assert!(head.first.starts_with("HTTP/1.1 200 "), "{head:?}");
    conn.read_until("data: first\n\n");
    assert_of_the_gate(&stand.ask(Visitor::Nobody, "GET /events", &FETCH), 401);
}
