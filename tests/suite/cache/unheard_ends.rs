//! A session was ended by a commit whose announcement has not arrived yet. Whatever reports that the session has ended,
//! no later request is answered from memory with it.

use serde_json::{Value, json};

use super::{KIM, has_lease};
use crate::support::{Answer, App, Client, PASSWORD, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    whoever_reports_an_unheard_end_makes_it_final,
}

/// Ends all sessions without an announcement. It does not begin with UPDATE, or the test's nodes would forget them.
const END: &str = "WITH unheard AS (SELECT 1) \
                   UPDATE sessions SET ended_at = created_at, ended_reason = 'revoked' WHERE ended_at IS NULL";

/// What the sender knows of its session.
struct Known {
    session: String,
    csrf: String,
}

type Request = fn(&mut Client, &Known) -> Answer;

/// Requests that tell their sender that the session has ended, or that begin another one in its place.
const REPORTS: [(&str, u16, Request); 8] = [
    ("a login over it", 200, |client, _| client.try_log_in(KIM, PASSWORD)),
    ("a sign-out", 401, |client, _| client.json("DELETE", "/api/session", &json!({}))),
    ("a sign-out by the form", 303, |client, known| client.form("/logout", &[("csrf", &known.csrf)])),
    ("session data", 401, |client, _| client.json("PATCH", "/api/session/data", &json!({"n": 1}))),
    ("a sync", 401, |client, _| sync(client, &json!([]))),
    ("a sync that signs out", 401, |client, known| {
        let id = "7b1f5a52-5b7a-4c0e-9b1e-0d3c5a1d9b11";
        sync(client, &json!([{"id": id, "kind": "session.logout", "sessionId": known.session}]))
    }),
    ("a password", 303, |client, known| client.form("/confirm", &[("csrf", &known.csrf), ("password", PASSWORD)])),
    ("the end of other sessions", 401, |client, _| client.json("POST", "/api/sessions/revoke-others", &json!({}))),
];

fn sync(client: &mut Client, operations: &Value) -> Answer {
    let body = json!({"device": {"installed": false}, "lastKnown": {}, "operations": operations});
    client.json("POST", "/api/session/sync", &body)
}

async fn whoever_reports_an_unheard_end_makes_it_final(db: TestDb) {
    add_user(&db, KIM, "owner");
    let app = App::start(&db, &[]);
    has_lease(&app).await;
    let mut wrong = Vec::new();
    for (what, status, report) in REPORTS {
        let mut client = app.client();
        client.log_in(KIM);
        let csrf = client.form_token("/account");
        let session = client.get("/api/session").json()["session"]["id"].as_str().unwrap().to_owned();
        assert_eq!(client.get("/api/session").status, 200);
        let mut before = client.clone();
        db.sql(END);
        assert_eq!(before.get("/api/session").status, 200, "{what}: it is in memory");
        let answer = report(&mut client, &Known { session, csrf });
        let after = before.get("/api/session");
        if answer.status != status || after.status != 401 {
            wrong.push(format!("{what}: {answer:?}, then {}", after.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
