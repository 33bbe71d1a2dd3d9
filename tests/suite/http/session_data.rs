//! The data that programs store in a session.

use serde_json::{Map, Value, json};

use super::{ALEX, KIM, assert_unharmed, serve, serve_process, session_id};
use crate::support::add_user;

const DATA: &str = "/api/session/data";

#[test]
fn data_is_merged_as_rfc_7396_says_and_returned_whole() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    assert_eq!(client.get(DATA).json(), json!({}));
    let steps = [
        (
            json!({"a": "b", "n": {"x": 1, "y": [1, {"z": null}]}}),
            json!({"a": "b", "n": {"x": 1, "y": [1, {"z": null}]}}),
        ),
        (json!({}), json!({"a": "b", "n": {"x": 1, "y": [1, {"z": null}]}})),
        (json!({"a": null, "missing": null}), json!({"n": {"x": 1, "y": [1, {"z": null}]}})),
        (json!({"n": {"x": null, "w": {"deep": null}}}), json!({"n": {"w": {}, "y": [1, {"z": null}]}})),
        (json!({"n": {"y": [2]}}), json!({"n": {"w": {}, "y": [2]}})),
        (json!({"n": "flat", "": 1}), json!({"n": "flat", "": 1})),
        (json!({"n": {"again": true}, "": null}), json!({"n": {"again": true}})),
        (json!({"é\u{10ffff}\"\\": "\u{1F980}\u{7f}", "n": null}), json!({"é\u{10ffff}\"\\": "\u{1F980}\u{7f}"})),
        (
            json!({"é\u{10ffff}\"\\": null, "big": 9007199254740993_i64, "e": 1.5e300}),
            json!({"big": 9007199254740993_i64, "e": 1.5e300}),
        ),
    ];
    for (patch, whole) in steps {
        let answer = client.json("PATCH", DATA, &patch);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{patch}");
        assert_eq!(answer.json(), whole, "{patch}");
        assert_eq!(client.get(DATA).json(), whole, "{patch}");
    }
}

#[test]
fn data_over_16_kib_is_refused_and_nothing_changes() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    // {"a":"…"} is eight bytes longer than its text.
    let full = json!({"a": "x".repeat(16 * 1024 - 8)});
    assert_eq!(client.json("PATCH", DATA, &full).json(), full);
    let more = [json!({"b": 1}), json!({"a": "x".repeat(16 * 1024 - 7)}), json!({"a": "é".repeat(8 * 1024)})];
    for patch in more {
        let answer = client.json("PATCH", DATA, &patch);
        assert_eq!((answer.status, answer.problem().as_str()), (413, "too-large"), "{answer:?}");
        assert_eq!(client.get(DATA).json(), full);
    }
    assert_eq!(client.json("PATCH", DATA, &json!({"a": null, "b": 1})).json(), json!({"b": 1}));
}

#[test]
fn no_name_in_data_reaches_anything_but_data() {
    let (db, server) = serve_process(&[]);
    let alex = add_user(&db, ALEX, "member");
    let mut client = server.client();
    client.log_in(KIM);
    let before = client.get("/api/session").json();
    let key = client.cookies["aiq_session"].clone();
    let row = "SELECT id || hex(secret_hash) || account_id || device_id || created_at || authenticated_at || \
               expires_at || absolute_expires_at || ip || browser || os || hex(state) || coalesce(ended_at, '') FROM sessions";
    let stored = db.sql(row);
    let id = session_id(&mut client);
    let names = [
        "actix_identity.user_id",
        "actix_identity.logged_in_at",
        "actix_identity.last_user_activity_at",
        "sessile.finished",
        "sessile.touched",
        "id",
        "account_id",
        "accountId",
        "user",
        "role",
        "email",
        "state",
        "data",
        "version",
        "ended_at",
        "expires_at",
        "secret_hash",
        "__proto__",
        "constructor",
        "$set",
        "a'; DROP TABLE sessions; --",
    ];
    let values =
        [json!(alex), json!(format!("\"{alex}\"")), json!({"id": alex}), json!(format!("{id}.x")), json!(true)];
    for value in values {
        let patch: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), value.clone())).collect();
        let answer = client.json("PATCH", DATA, &Value::Object(patch.clone()));
        assert_eq!((answer.status, answer.json()), (200, Value::Object(patch)), "{value}");
        assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
        assert_eq!(client.get("/api/session").json(), before, "{value}");
    }
    assert_eq!(db.sql(row), stored);
    assert_eq!(client.cookies["aiq_session"], key);
    client.log_in(KIM);
    assert_eq!(client.get("/api/session").json()["user"], before["user"]);
    assert_eq!(client.get(DATA).json().as_object().map(Map::len), Some(names.len()));
    assert_unharmed(&server);
}

#[test]
fn each_session_has_data_of_its_own() {
    let (_db, server) = serve(&[]);
    let (mut one, mut other) = (server.client(), server.client());
    one.log_in(KIM);
    other.log_in(KIM);
    one.json("PATCH", DATA, &json!({"a": 1}));
    assert_eq!((one.get(DATA).json(), other.get(DATA).json()), (json!({"a": 1}), json!({})));
}

#[test]
fn writers_of_different_keys_never_undo_one_another() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let mut own = client.clone();
            scope.spawn(move || {
                for step in 0..25 {
                    let name = format!("{thread}-{step}");
                    let answer = own.json("PATCH", DATA, &json!({&name: step, "n": {&name: true}}));
                    assert_eq!(answer.status, 200, "{answer:?}");
                    assert_eq!(answer.json()[&name], step);
                }
            });
        }
    });
    let data = client.get(DATA).json();
    let names = |value: &Value| value.as_object().expect("an object").len();
    assert_eq!((names(&data), names(&data["n"])), (101, 100), "{data}");
}
