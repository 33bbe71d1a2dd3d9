//! Drafts and their sync: the contract line by line, a model of clients that come and go, and what happens when many send or
//! the program dies. The served program, on both engines.

mod calls;
mod figures;
mod killed;
mod model;
mod operations;
mod page;
mod plans;
mod restored;
mod room;
mod sweep;

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Value, json};
use sessile::draft::{book::random_uuid, revision::Revision};

use crate::{
    centre::{ALEX, KIM, serve, signed_in},
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

thread_local! {
    /// The versions of each draft that this test was told of, with what they were written on, in their order.
    static TOLD: RefCell<BTreeMap<String, Vec<(i64, Value)>>> = const { RefCell::new(BTreeMap::new()) };
    /// Operations that were carried out, by their ids: sent again they are the same.
    static SENT: RefCell<BTreeMap<String, (Value, Value)>> = const { RefCell::new(BTreeMap::new()) };
}

/// Sends a call. A `baseVersion` from 1 to 9 stands for the first to ninth version of its draft that the test was told of.
fn send(client: &mut Client, call: &Value) -> Answer {
    let mut real = call.clone();
    for operation in real["operations"].as_array_mut().into_iter().flatten().filter(|one| one.is_object()) {
        *operation = with_real_version(operation);
    }
    let answer = client.json("POST", "/api/session/sync", &real);
    if answer.status == 200 {
        let answer = answer.json();
        let results = answer["results"].as_array().into_iter().flatten();
        let pairs = call["operations"].as_array().into_iter().flatten().zip(real["operations"].as_array().unwrap());
        for ((sent, real), result) in pairs.zip(results.clone()) {
            if let Some(id) = sent["id"].as_str().filter(|_| result["status"] != "rejected") {
                SENT.with_borrow_mut(|before| before.insert(id.to_owned(), (sent.clone(), real.clone())));
            }
        }
        results.map(|result| &result["draft"]).for_each(note_version);
        answer["changes"]["drafts"].as_array().into_iter().flatten().for_each(note_version);
    }
    answer
}

fn with_real_version(operation: &Value) -> Value {
    let sent = operation["id"].as_str().and_then(|id| SENT.with_borrow(|sent| sent.get(id).cloned()));
    if let Some((_, real)) = sent.filter(|(sent, _)| sent == operation) {
        return real;
    }
    let mut operation = operation.clone();
    let base = operation["baseVersion"].as_i64().filter(|base| (1..10).contains(base));
    if let Some((version, ancestors)) = base.zip(operation["draftId"].as_str()).and_then(|(n, draft)| told(draft, n)) {
        operation["baseVersion"] = json!(version);
        if operation["kind"] == "draft.keep" {
            operation["ancestors"] = ancestors;
        }
    }
    operation
}

/// The version of a draft that the test was told of as the `n`th, and what it was written on.
fn told(draft: &str, n: i64) -> Option<(i64, Value)> {
    let at = usize::try_from(n.checked_sub(1)?).ok()?;
    TOLD.with_borrow(|told| told.get(draft)?.get(at).cloned())
}

fn note_version(draft: &Value) {
    let (Some(id), Some(version)) = (draft["id"].as_str(), draft["version"].as_i64()) else { return };
    TOLD.with_borrow_mut(|told| {
        let versions = told.entry(id.to_owned()).or_default();
        if versions.iter().all(|(known, _)| *known != version) {
            versions.push((version, draft.get("ancestors").cloned().unwrap_or_else(|| json!(""))));
        }
    });
}

/// A call that must work.
fn sync(client: &mut Client, operations: &[Value]) -> Value {
    let answer = send(client, &json!({"operations": operations}));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// The results of a call that must work.
fn results(client: &mut Client, operations: &[Value]) -> Vec<Value> {
    sync(client, operations)["results"].as_array().expect("a list").clone()
}

/// The result of one operation.
fn result(client: &mut Client, operation: &Value) -> Value {
    results(client, std::slice::from_ref(operation)).remove(0)
}

fn assert_rejected(result: &Value, slug: &str) {
    assert_eq!(result["status"], "rejected", "{result}");
    assert_eq!(result["problem"]["type"], slug, "{result}");
    assert!(result["problem"]["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{result}");
    assert!(result["problem"]["status"].is_u64() && result["problem"]["title"].is_string(), "{result}");
}

/// The texts of the account's drafts, in the order of their letters.
fn texts(client: &mut Client) -> Vec<String> {
    let drafts = client.get("/api/drafts").json()["drafts"].as_array().expect("a list").clone();
    drafts.iter().for_each(note_version);
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

/// A revision as the server gives it out to the account of this client.
fn revision(db: &TestDb, client: &mut Client, count: i64) -> Value {
    let account = client.get("/api/session").json()["user"]["id"].as_str().expect("an id").to_owned();
    let history = db.sql("SELECT history FROM instance");
    json!(Revision { history, count, began: None, tip: None }.seal(&account, &db.keys()).expect("a seal"))
}
