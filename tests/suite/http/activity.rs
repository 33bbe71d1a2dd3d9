//! `GET /api/activity`: an account's own events, each exactly once, in pages.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ALEX, KIM, assert_ended, serve};
use crate::support::{Client, TestDb, add_events, add_user};

/// Adds events without a chain link, as versions before the chain wrote them.
fn events(db: &TestDb, email: &str, kind: &str, times: usize) {
    let one = format!(
        "SELECT INSTANT(0) AS at, '{kind}' AS kind, id AS account_id, id AS actor FROM accounts WHERE email = '{email}'"
    );
    add_events(db, "at, kind, account_id, actor", &vec![one; times].join(" UNION ALL "));
}

fn page(client: &mut Client, query: &str) -> Value {
    let answer = client.get(&format!("/api/activity{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn ids(page: &Value) -> Vec<i64> {
    page["events"].as_array().unwrap().iter().map(|event| event["id"].as_i64().unwrap()).collect()
}

#[test]
fn activity_needs_a_login() {
    let (_db, server) = serve(&[]);
    let answer = server.client().get("/api/activity");
    assert_eq!((answer.status, answer.problem().as_str()), (401, "login-required"));
    let mut client = server.client();
    client.log_in(KIM);
    let ended = client.clone();
    client.json("DELETE", "/api/session", &Value::Null);
    assert_ended(&ended.clone().get("/api/activity"), "logged-out");
}

#[test]
fn an_event_has_the_format_of_the_contract() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    let login = client.log_in(KIM).json();
    let page = page(&mut client, "");
    assert_eq!(page.get("next"), None);
    let kinds: Vec<&str> = page["events"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["session.created", "device.new", "login.succeeded", "account.created"]);
    let mut newest = page["events"][0].clone();
    let (id, at) = (newest["id"].take(), newest["at"].take());
    assert!(id.is_i64() && at.as_str().unwrap().ends_with('Z'), "{id} {at}");
    let expected = json!({"id": null, "at": null, "kind": "session.created", "sessionId": login["session"]["id"],
        "deviceName": "ureq", "ip": "127.0.0.1", "actor": login["user"]["id"]});
    assert_eq!(newest, expected);
    let made = &page["events"][3];
    assert_eq!((&made["actor"], &made["detail"]), (&json!("operator"), &json!("owner")));
}

#[test]
fn paging_shows_each_own_event_once_while_others_arrive() {
    let (db, server) = serve(&[]);
    add_user(&db, ALEX, "member");
    events(&db, KIM, "login.failed", 30);
    events(&db, ALEX, "login.failed", 30);
    events(&db, KIM, "device.renamed", 15);
    let mut client = server.client();
    client.log_in(KIM);
    let own = db.sql(&format!(
        "SELECT audit.id FROM audit JOIN accounts ON accounts.id = account_id WHERE email = '{KIM}' ORDER BY audit.id DESC"
    ));
    let own: Vec<i64> = own.lines().map(|id| id.parse().unwrap()).collect();
    for limit in [1, 7, own.len() as i64, 200] {
        let (mut seen, mut query) = (Vec::new(), format!("?limit={limit}"));
        loop {
            let page = page(&mut client, &query);
            assert!(ids(&page).len() as i64 <= limit);
            seen.extend(ids(&page).into_iter().filter(|id| *id <= own[0]));
            events(&db, KIM, "login.failed", 2);
            let Some(next) = page["next"].as_str() else { break };
            query = format!("?limit={limit}&before={next}");
        }
        assert_eq!(seen, own, "limit {limit}");
    }
}

#[test]
fn a_topic_shows_only_its_own_kinds() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    for kind in ["login.failed", "logout", "device.renamed", "login.succeeded"].repeat(4) {
        events(&db, KIM, kind, 1);
    }
    let beginnings = [("logins", "login."), ("devices", "device."), ("account", "account.")];
    for (topic, beginning) in beginnings {
        let expected = db.sql(&format!("SELECT id FROM audit WHERE kind LIKE '{beginning}%' ORDER BY id DESC"));
        let expected: Vec<i64> = expected.lines().map(|id| id.parse().unwrap()).collect();
        let (mut seen, mut query) = (Vec::new(), format!("?topic={topic}&limit=3"));
        loop {
            let page = page(&mut client, &query);
            seen.extend(ids(&page));
            let Some(next) = page["next"].as_str() else { break };
            query = format!("?topic={topic}&limit=3&before={next}");
        }
        assert_eq!(seen, expected, "{topic}");
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
    }
}

#[test]
fn an_invalid_query_is_refused() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let wrong = [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=1.5",
        "limit=99999999999999999999",
        "before=",
        "before=x",
        "before=AAAAAAAAAAAA",
        "before=1",
        "before=%00",
        "before=%ff",
        "topic=moon",
        "topic=",
    ];
    for query in wrong {
        let answer = client.get(&format!("/api/activity?{query}"));
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid-request"), "{query}");
    }
    assert_eq!(client.get("/api/activity?limit=200&more=1").status, 200);
    assert_eq!(client.json("POST", "/api/activity", &Value::Null).status, 405);
}
