//! The gate, its database or the app is away.

use super::{FETCH, NAVIGATION, Stand, Visitor, assert_of_the_gate, with_every_proxy};

with_every_proxy!(
    a_gate_without_its_database_is_503_with_retry_after,
    a_dead_gate_is_503_with_retry_after,
    an_app_that_is_away_is_not_mistaken_for_the_gate,
);

fn a_gate_without_its_database_is_503_with_retry_after(stand: Stand) {
    assert_eq!(stand.ask(Visitor::Kim, "GET /", &NAVIGATION).status, 200);
    stand.gate.lose_database();
    assert_away(&stand);
}

fn a_dead_gate_is_503_with_retry_after(stand: Stand) {
    assert_eq!(stand.ask(Visitor::Kim, "GET /", &NAVIGATION).status, 200);
    stand.gate.stop();
    assert_away(&stand);
}

fn assert_away(stand: &Stand) {
    for visitor in [Visitor::Kim, Visitor::Nobody] {
        for (line, fields) in
            [("GET /a", NAVIGATION), ("GET /b", FETCH), ("POST /c", FETCH), ("GET /.sessile/echo", FETCH)]
        {
            let answer = stand.send(visitor, line, &fields, if line.starts_with("POST") { b"a=b" } else { b"" });
            assert_of_the_gate(&answer, 503);
            let seconds = answer.head.all("retry-after");
            assert!(seconds.len() == 1 && seconds[0].parse::<u32>().is_ok_and(|seconds| seconds > 0), "{answer:?}");
        }
    }
    assert_eq!(stand.ask(Visitor::Nobody, "GET /health", &FETCH).status, 200, "a public path needs no gate");
}

fn an_app_that_is_away_is_not_mistaken_for_the_gate(stand: Stand) {
    stand.app.stop();
    let answer = stand.ask(Visitor::Kim, "GET /", &NAVIGATION);
    assert!((502..=504).contains(&answer.status), "{answer:?}");
    assert!(answer.head.get("retry-after").is_empty(), "{answer:?}");
    assert_of_the_gate(&stand.ask(Visitor::Nobody, "GET /", &NAVIGATION), 303);
}
