//! Sessile's own pages on the app's host.

use super::{NAVIGATION, Seen, Stand, Visitor, assert_refused, with_every_proxy};

with_every_proxy!(sessiles_own_pages_pass_unchecked_and_unchanged, addresses_that_only_look_like_sessiles_are_checked,);

fn sessiles_own_pages_pass_unchecked_and_unchanged(stand: Stand) {
    let target = "/.sessile/start?to=%2Fa%3Fb%3D1%26c";
    let answer = stand.ask(Visitor::Nobody, &format!("GET {target}"), &NAVIGATION);
    let seen = Seen::of(&answer);
    assert_eq!(seen.text("target"), target);
    assert_eq!(answer.head.all("set-cookie"), ["sessile_pending=1; Path=/", "sessile_app=kim; Path=/"]);
    assert_eq!(seen.all("x-forwarded-host"), [format!("localhost:{}", stand.port)]);
    assert_eq!(
        (seen.all("x-forwarded-proto").concat(), seen.all("x-forwarded-for").concat()),
        ("http".to_owned(), "127.0.0.1".to_owned())
    );
    assert!(seen.all("cookie").concat().contains("other=1"));
    assert!(stand.gate.asked().is_empty(), "{:?}", stand.gate.asked());
}

fn addresses_that_only_look_like_sessiles_are_checked(stand: Stand) {
    for target in ["/.sessile", "/.sessilex/start", "/a/.sessile/start", "/%2Esessilex/start"] {
        let answer = stand.ask(Visitor::Nobody, &format!("GET {target}"), &NAVIGATION);
        assert_eq!(answer.status, 303, "{target}: {answer:?}");
    }
    // A proxy may read these as another address; nothing of them may reach the app.
    for target in [
        "/.sessile/../secret",
        "/.sessile/%2e%2e/secret",
        "/.sessile/..%2fsecret",
        "/.sessile//../../secret",
        "/%2esessile/../secret",
        "/.SESSILE/../secret",
        "/.SESSILE/start",
    ] {
        let answer = stand.ask(Visitor::Nobody, &format!("GET {target}"), &NAVIGATION);
        assert!(!answer.body.contains("\"app\":true"), "{target}: {answer:?}");
        // 200 is an answer of Sessile, to which the address may have been passed on.
        if answer.status != 200 {
            assert_refused(target, &answer);
        }
    }
    let start = stand.ask(Visitor::Nobody, "GET /.sessile/start?to=%2F", &NAVIGATION);
    assert_eq!(Seen::of(&start).text("target"), "/.sessile/start?to=%2F");
}
