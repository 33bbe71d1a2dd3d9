//! The app learns who asks from the gate, and from nobody else.

use super::{NAVIGATION, Seen, Stand, Visitor, gate::many_groups, with_every_proxy};

with_every_proxy!(
    the_app_gets_every_identity_header_of_the_gate,
    many_groups_and_a_long_name_reach_the_app,
    a_client_cannot_remove_identity_headers_by_naming_them,
    identity_headers_that_a_client_made_up_are_gone,
    the_echo_of_sessile_gets_what_the_app_would_get,
    made_up_forwarding_headers_reach_neither_gate_nor_app,
);

/// Names that CGI, WSGI or PHP would read as an identity header.
const MADE_UP: [&str; 19] = [
    "x-sessile-user",
    "X-SESSILE-USER",
    "X-Sessile-Role",
    "X-Sessile-Groups",
    "X-Sessile-Assertion",
    "X-Sessile-Session",
    "X_Sessile_User",
    "X_SESSILE_USER",
    "X_Sessile-User",
    "X.Sessile.User",
    "x.sessile.groups",
    "X~Sessile~User",
    "X!Sessile!User",
    "X-Sessile_Groups",
    "Remote-User",
    "REMOTE-GROUPS",
    "Remote_User",
    "Remote.Email",
    "Remote~Name",
];

fn the_app_gets_every_identity_header_of_the_gate(stand: Stand) {
    let seen = Seen::of(&stand.ask(Visitor::Kim, "GET /", &NAVIGATION));
    let expected = [
        ("x-sessile-user", "acc_kim"),
        ("x-sessile-email", "kim@example.com"),
        ("x-sessile-name", "Kim%20%E2%9C%93"),
        ("x-sessile-role", "member"),
        ("x-sessile-session", "ses_1"),
        ("x-sessile-assertion", "a.b.c"),
    ];
    for (name, value) in expected {
        assert_eq!(seen.all(name), [value], "{name}");
    }
    assert_eq!(seen.all("x-sessile-groups").concat(), "");
    assert_eq!(seen.all("cookie"), ["sessile_app=kim"]);
}

fn a_client_cannot_remove_identity_headers_by_naming_them(stand: Stand) {
    let connection = "Connection: close, X-Sessile-User, X-Sessile-Email, X-Sessile-Assertion, X-Sessile-Session";
    let seen = Seen::of(&stand.ask(Visitor::Kim, "GET /", &[connection]));
    for (name, value) in
        [("x-sessile-user", "acc_kim"), ("x-sessile-email", "kim@example.com"), ("x-sessile-session", "ses_1")]
    {
        assert_eq!(seen.all(name), [value], "{name}");
    }
    assert!(!seen.all("connection").concat().to_lowercase().contains("sessile"));
}

fn many_groups_and_a_long_name_reach_the_app(stand: Stand) {
    // Browsers send a few kilobytes themselves.
    let cookie = format!("X-Of-The-Browser: {}", "c".repeat(3_000));
    for line in ["GET /", "POST /"] {
        let seen = Seen::of(&stand.ask(Visitor::Crowd, line, &[&cookie]));
        assert_eq!(
            (seen.all("x-sessile-groups"), seen.all("x-sessile-name")),
            (vec![many_groups()], vec!["%E4%BA%BA".repeat(80)])
        );
        assert_eq!(
            (seen.all("remote-groups"), seen.all("remote-user")),
            (vec![many_groups()], vec!["crowd@example.com".to_owned()])
        );
        assert!(seen.all("x-sessile-assertion")[0].len() > 4_000);
    }
}

fn identity_headers_that_a_client_made_up_are_gone(stand: Stand) {
    let fields = MADE_UP.map(|name| format!("{name}: mallory"));
    let fields: Vec<&str> = fields.iter().map(String::as_str).chain(NAVIGATION).collect();
    let answer = stand.ask(Visitor::Kim, "GET /", &fields);
    assert!(!answer.body.contains("mallory"), "{answer:?}");
    assert_eq!(Seen::of(&answer).all("x-sessile-user"), ["acc_kim"]);
    // One by one, in case a proxy rejects them all because of one.
    for name in MADE_UP {
        let answer = stand.ask(Visitor::Kim, "GET /", &[&format!("{name}: mallory")]);
        assert!(!answer.body.contains("mallory"), "{name}: {answer:?}");
        assert_eq!(Seen::of(&answer).all("x-sessile-user"), ["acc_kim"]);
        let open = stand.ask(Visitor::Nobody, "GET /health", &[&format!("{name}: mallory")]);
        assert!(open.status == 200 && !open.body.contains("mallory"), "{name}: {open:?}");
    }
}

fn the_echo_of_sessile_gets_what_the_app_would_get(stand: Stand) {
    let fields = MADE_UP.map(|name| format!("{name}: mallory"));
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let answer = stand.ask(Visitor::Kim, "GET /.sessile/echo", &fields);
    let seen = Seen::of(&answer);
    // The gate lets everybody through to it, so that `doctor` needs no sign-in, and names nobody.
    assert_eq!(seen.all("x-sessile-user").concat(), "");
    assert!(!answer.body.contains("mallory") && seen.text("target") == "/.sessile/echo", "{answer:?}");
    assert_eq!(stand.gate.asked().len(), 1, "the echo is checked as the app is");
    let answer = stand.ask(Visitor::Nobody, "GET /.sessile/echo", &fields);
    assert_eq!(Seen::of(&answer).all("x-sessile-user").concat(), "");
    assert!(!answer.body.contains("mallory"), "{answer:?}");
}

fn made_up_forwarding_headers_reach_neither_gate_nor_app(stand: Stand) {
    let lies = [
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Method: OPTIONS",
        "X-Forwarded-Uri: /evil.example",
        "X-Forwarded-For: 203.0.113.7",
        "X-Original-URL: /evil.example",
        "X-Original-Method: OPTIONS",
        "Forwarded: for=203.0.113.7;host=evil.example;proto=https",
    ];
    let answer = stand.ask(Visitor::Kim, "POST /true?a=b", &lies);
    let seen = Seen::of(&answer);
    assert!(!answer.body.contains("evil.example") && !answer.body.contains("203.0.113.7"), "{answer:?}");
    let host = format!("localhost:{}", stand.port);
    assert_eq!((seen.all("x-forwarded-host"), seen.all("host")), (vec![host.clone()], vec![host.clone()]));
    assert_eq!(
        (seen.all("x-forwarded-proto"), seen.all("x-forwarded-for")),
        (vec!["http".to_owned()], vec!["127.0.0.1".to_owned()])
    );
    let head = &stand.gate.asked()[0].head;
    assert!(!format!("{head:?}").contains("evil.example") && !format!("{head:?}").contains("203.0.113.7"), "{head:?}");
    assert_eq!(head.all("x-forwarded-host"), [host]);
    let forwarded = ["proto", "method", "uri"].map(|part| head.all(&format!("x-forwarded-{part}")).join(","));
    assert_eq!(forwarded, ["http", "POST", "/true?a=b"]);
    assert!(head.get("x-forwarded-for").starts_with("127.0.0.1"), "{head:?}");
}
