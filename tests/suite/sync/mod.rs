//! Drafts and their sync: the contract's rules, a model of clients that go offline and return, concurrent clients, and
//! a program that is killed. Runs the served program on both engines.

mod draft_space;
mod drafts_page;
mod figures;
mod killed;
mod model;
mod operations;
mod plans;
mod restored_backup;
mod sweep;
mod sync_call;

use serde_json::{Value, json};
use sessile::records::draft::{book::random_uuid, revision::Revision};

use crate::{
    centre::{ALEX, KIM, serve, serve_process, signed_in},
    support::{Answer, Client, TestDb},
};

fn uuid() -> String {
    random_uuid().unwrap()
}

fn put(draft: &str, text: &str, base: i64) -> Value {
    json!({"id": uuid(), "kind": "draft.put", "at": "2026-11-25T08:00:00Z", "draftId": draft, "text": text, "baseVersion": base})
}

fn delete(draft: &str, base: i64) -> Value {
    json!({"id": uuid(), "kind": "draft.delete", "at": "2026-11-25T08:00:00Z", "draftId": draft, "baseVersion": base})
}

fn send(client: &mut Client, call: &Value) -> Answer {
    client.json("POST", "/api/session/sync", call)
}

/// A sync that must succeed.
fn sync(client: &mut Client, operations: &[Value]) -> Value {
    let answer = send(client, &json!({"operations": operations}));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// The results of a sync that must succeed.
fn results(client: &mut Client, operations: &[Value]) -> Vec<Value> {
    sync(client, operations)["results"].as_array().expect("a list").clone()
}

/// The result of a single operation.
fn result(client: &mut Client, operation: &Value) -> Value {
    results(client, std::slice::from_ref(operation)).remove(0)
}

fn assert_rejected(result: &Value, slug: &str) {
    assert_eq!(result["status"], "rejected", "{result}");
    assert_eq!(result["problem"]["type"], slug, "{result}");
    assert!(result["problem"]["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{result}");
    assert!(result["problem"]["status"].is_u64() && result["problem"]["title"].is_string(), "{result}");
}

/// The texts of the account's drafts, sorted.
fn texts(client: &mut Client) -> Vec<String> {
    let drafts = client.get("/api/drafts").json()["drafts"].as_array().expect("a list").clone();
    let mut texts: Vec<String> =
        drafts.iter().map(|draft| draft["text"].as_str().expect("a text").to_owned()).collect();
    texts.sort();
    texts
}

fn own(client: &mut Client, name: &str) -> String {
    client.get("/api/session").json()["session"][name].as_str().expect("a text").to_owned()
}

/// The count of changes in a revision.
fn changes_of(revision: &Value) -> i64 {
    let text = revision.as_str().unwrap_or_else(|| panic!("a text: {revision}"));
    text.split('.').nth(1).expect("a count").parse().expect("a number")
}

/// A revision in the form that the server gives to the account of this client.
fn revision(db: &TestDb, client: &mut Client, count: i64) -> Value {
    let account = client.get("/api/session").json()["user"]["id"].as_str().expect("an id").to_owned();
    let history = db.sql("SELECT history FROM instance");
    json!(Revision { history, count, began: None }.seal(&account, &db.keys()).expect("a seal"))
}
