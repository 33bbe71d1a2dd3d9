//! Malformed JSON, sent to every address that reads JSON.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use super::{JSON, Target, addresses};

/// Accepts larger bodies than the others and checks each operation separately.
const SYNC: &str = "/api/session/sync";

#[test]
fn broken_json_is_refused_everywhere() {
    let target = Target::new(&[]);
    let cookie = target.cookie();
    for body in broken().into_iter().chain(not_objects()).chain(holding_nul()) {
        for (method, path) in addresses::with_json() {
            let answer = target.ask(method, &path, &[JSON, &cookie], &body);
            // All its members are optional, and it ignores unknown members.
            if path == SYNC && answer.status == 200 {
                assert_eq!(answer.json()["results"], serde_json::json!([]), "{answer:?}");
                continue;
            }
            // Its only member is optional.
            if path == "/api/passkeys/sign-in/options" && is_object(&body) {
                assert_eq!(answer.status, 200, "{answer:?}");
                continue;
            }
            let told = (answer.status, answer.problem());
            let shown = format!("{:.80}", String::from_utf8_lossy(&body));
            // All its members are optional, too. There is no such person.
            if path.starts_with("/api/people/something") && is_object(&body) {
                assert_eq!(told, (404, "not-found".to_owned()), "{method} {path} {shown}");
                continue;
            }
            assert_eq!(told, (400, "invalid-request".to_owned()), "{method} {path} {shown}");
        }
    }
    for body in [nested("[", "]", 100_000), nested("{\"a\":", "}", 100_000), nested("[", "", 100_000)] {
        for (method, path) in addresses::with_json().filter(|(_, path)| path != SYNC) {
            assert_eq!(target.ask(method, &path, &[JSON, &cookie], &body).problem(), "too-large", "{method} {path}");
        }
        let deep = [b"{\"operations\": [", body.as_slice(), b"]}"].concat();
        let answer = target.ask("POST", SYNC, &[JSON, &cookie], &deep);
        assert!(matches!(answer.status, 200 | 400 | 413), "{answer:?}");
    }
    target.must_be_unharmed();
}

#[test]
fn json_of_other_types_is_refused_everywhere() {
    let target = Target::new(&[]);
    let cookie = target.cookie();
    let types: [&[u8]; 15] = [
        b"",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"multipart/form-data",
        b"text/plain",
        b"text/plain; application/json",
        b"text/html",
        b"application/xml",
        b"application/javascript",
        b"application/jsonp",
        b"application/",
        b"json",
        b"*/*",
        b"application/json, text/plain",
        b"\xff",
    ];
    for content_type in types {
        for (method, path) in addresses::with_json() {
            let header = [b"Content-Type: ", content_type].concat();
            let answer = target.ask(method, &path, &[&header, &cookie], b"{\"a\": 1}");
            let told = (answer.status, answer.problem());
            let shown = String::from_utf8_lossy(content_type);
            assert_eq!(told, (415, "unsupported-media-type".to_owned()), "{method} {path} {shown}");
        }
    }
    for (method, path) in addresses::with_json() {
        assert_eq!(target.ask(method, &path, &[&cookie], b"{\"a\": 1}").status, 415, "{path} without a type");
    }
    target.must_be_unharmed();
}

/// Whether a body is an object, for a reader that ignores every member.
fn is_object(body: &[u8]) -> bool {
    serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(body).is_ok()
}

fn broken() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 36] = [
        b"",
        b" ",
        b"\0",
        b"{",
        b"}",
        b"{}{}",
        b"{},",
        b"{} x",
        b"{}\0",
        b"{\"a\": 1,}",
        b"{\"a\"}",
        b"{\"a\" 1}",
        b"{a: 1}",
        b"{1: 1}",
        b"{'a': 1}",
        b"{\"a\": 1 /* c */}",
        b"{\"a\": NaN}",
        b"{\"a\": Infinity}",
        b"{\"a\": -Infinity}",
        b"{\"a\": 1e999}",
        b"{\"a\": -1e999}",
        b"{\"a\": 01}",
        b"{\"a\": +1}",
        b"{\"a\": .5}",
        b"{\"a\": 0x10}",
        b"{\"a\": \"\\ud800\"}",
        b"{\"a\": \"\\udc00\\ud800\"}",
        b"{\"\\udfff\": 1}",
        b"{\"a\": \"\xff\xfe\"}",
        b"{\"a\": \"\xc0\xaf\"}",
        b"{\"a\": \"\xed\xa0\x80\"}",
        b"{\"a\": \"\xf4\x90\x80\x80\"}",
        b"{\"\xff\": 1}",
        b"{\"a\": \"\n\"}",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
    ];
    let mut bodies: Vec<Vec<u8>> = texts.map(<[u8]>::to_vec).into();
    for depth in [500, 5_000] {
        bodies.push(nested("[", "]", depth));
        bodies.push(nested("[", "", depth));
        bodies.push(nested("{\"a\":", "}", depth));
        bodies.push(format!("{{\"a\":{}}}", String::from_utf8_lossy(&nested("[", "]", depth))).into_bytes());
    }
    bodies.push(format!("{{\"a\": 1{}.5e-{}1}}x", "0".repeat(20_000), "0".repeat(20_000)).into_bytes());
    bodies.push(format!("{{\"a\": 1{}}}", "0".repeat(20_000)).into_bytes());
    bodies
}

fn not_objects() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 9] =
        [b"null", b"[]", b"\"a\"", b"1", b"-0", b"true", b"[{\"a\": 1}]", b"[null]", b"[\"kim@example.com\", \"x\"]"];
    texts.map(<[u8]>::to_vec).into()
}

fn holding_nul() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 4] = [
        b"{\"a\": \"\\u0000\"}",
        b"{\"a\\u0000\": 1}",
        b"{\"a\": [{\"b\": \"x\\u0000\"}]}",
        b"{\"a\": null, \"\\u0000\": null}",
    ];
    texts.map(<[u8]>::to_vec).into()
}

fn nested(open: &str, close: &str, depth: usize) -> Vec<u8> {
    format!("{}1{}", open.repeat(depth), close.repeat(depth)).into_bytes()
}
