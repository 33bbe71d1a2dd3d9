//! What the gate allows arrives at the app as it was sent, and the app's answers come back as they are.

use super::{NAVIGATION, Seen, Stand, Visitor, with_every_proxy};

with_every_proxy!(
    address_and_query_arrive_as_they_were_sent,
    the_body_of_a_post_arrives_intact,
    a_large_upload_goes_to_the_app_only,
    answers_of_the_app_pass_unchanged,
);

fn address_and_query_arrive_as_they_were_sent(stand: Stand) {
    for target in
        ["/?x=1&y=2", "/a%20b/%E2%9C%93?x=%26&z=a+b&e=", "/a?to=https://example.com/?b#", "/a/.sessile/b", "/.sessile"]
    {
        let target = target.trim_end_matches('#');
        let seen = Seen::of(&stand.ask(Visitor::Kim, &format!("GET {target}"), &NAVIGATION));
        assert_eq!(seen.text("target"), target);
    }
}

fn the_body_of_a_post_arrives_intact(stand: Stand) {
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let body = format!("{method}=hello&b=%20");
        let fields = ["Content-Type: application/x-www-form-urlencoded"];
        let seen = Seen::of(&stand.send(Visitor::Kim, &format!("{method} /form"), &fields, body.as_bytes()));
        assert_eq!((seen.text("method"), seen.text("body")), (method, body.as_str()));
        assert_eq!(seen.all("content-type"), ["application/x-www-form-urlencoded"]);
    }
}

fn a_large_upload_goes_to_the_app_only(stand: Stand) {
    let body: Vec<u8> = (0..30_000_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let sum = body.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    let seen = Seen::of(&stand.send(Visitor::Kim, "POST /upload", &["Content-Type: image/png"], &body));
    assert_eq!((seen.number("length"), seen.number("sum")), (30_000_000, sum));
    let asked = stand.gate.asked();
    assert!(asked.len() == 1 && asked[0].body == 0, "{asked:?}");
}

fn answers_of_the_app_pass_unchanged(stand: Stand) {
    for status in [401, 403, 404, 418, 500, 502, 503] {
        let answer = stand.ask(Visitor::Kim, &format!("GET /status/{status}"), &NAVIGATION);
        assert_eq!((answer.status, answer.body), (status, format!("the app says {status}")));
        assert!(answer.head.get("retry-after").is_empty(), "{:?}", answer.head);
    }
    let answer = stand.ask(Visitor::Kim, "GET /", &NAVIGATION);
    assert_eq!(answer.head.all("set-cookie"), ["app=1; Path=/", "basket=2; Path=/"]);
    assert_eq!(stand.ask(Visitor::Kim, "HEAD /", &NAVIGATION).status, 200);
}
