//! Paths that the gate is not asked about.

use super::{NAVIGATION, Seen, Stand, Visitor, assert_refused, with_every_proxy};

with_every_proxy!(public_paths_pass_without_a_question, paths_that_only_look_public_are_checked);

fn public_paths_pass_without_a_question(stand: Stand) {
    for target in ["/health", "/health?full=1", "/hooks/", "/hooks/shop/paid.json?id=1&x=/../a"] {
        let seen = Seen::of(&stand.ask(Visitor::Nobody, &format!("GET {target}"), &NAVIGATION));
        assert_eq!(seen.text("target"), target);
        assert!(
            seen.names().iter().all(|name| !name.starts_with("x-sessile-") || seen.all(name).concat().is_empty()),
            "{:?}",
            seen.names()
        );
    }
    let seen = Seen::of(&stand.send(Visitor::Nobody, "POST /hooks/paid", &["Origin: https://bank.example"], b"paid=1"));
    assert_eq!(seen.text("body"), "paid=1");
    assert!(stand.gate.asked().is_empty(), "{:?}", stand.gate.asked());
}

fn paths_that_only_look_public_are_checked(stand: Stand) {
    let others = [
        "/health/",
        "/healthy",
        "/hooks",
        "/Hooks/a",
        "/a/hooks/b",
        "/a?/hooks/b",
        "/hooks/../secret",
        "/hooks/%2e%2e/secret",
        "/hooks/..%2fsecret",
        "/hooks//secret",
        "/secret/..%2fhooks/",
        "/hooks/a;b/../../secret",
        "/hooks/\\..\\secret",
        "/hooks/.",
    ];
    for target in others {
        let answer = stand.ask(Visitor::Nobody, &format!("GET {target}"), &NAVIGATION);
        if answer.body.contains("\"app\":true") {
            // Traefik passes on the path that it has compared.
            assert!(
                target.contains("//") && Seen::of(&answer).text("target") == "/hooks/secret",
                "{target}: {answer:?}"
            );
        } else {
            assert_refused(target, &answer);
        }
    }
    // The proxy still answers for the public paths.
    assert_eq!(Seen::of(&stand.ask(Visitor::Nobody, "GET /hooks/", &NAVIGATION)).text("target"), "/hooks/");
}
