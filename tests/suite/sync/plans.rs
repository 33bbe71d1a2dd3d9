//! The number of SQL statements of a sync does not grow with its operations, and none of them scans other accounts'
//! rows.

#![expect(clippy::print_stdout, reason = "figures, for whoever asks cargo to show them")]

use std::sync::Mutex;

use diesel::connection::{Instrumentation, InstrumentationEvent};
use serde_json::{json, value::to_raw_value};
use sessile::{
    actions::sync::{apply, sender::Sender},
    records::{
        device::known::Facts,
        draft::{
            operation::Sent,
            result,
            revision::{ClientRevision, Revision},
        },
        session::{Acting, SessionKey, Who},
    },
};

use super::{delete, put, uuid};
use crate::{
    store::Node,
    support::{Engine, TestDb, on_both_engines},
};

on_both_engines! {
    the_number_of_statements_is_independent_of_operations,
}

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn watch() -> Option<Box<dyn Instrumentation>> {
    Some(Box::new(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            SEEN.lock().unwrap().push(query.to_string());
        }
    }))
}

async fn the_number_of_statements_is_independent_of_operations(db: TestDb) {
    diesel::connection::set_default_instrumentation(watch).unwrap();
    let node = Node::new(&db).await;
    let session = node.create().await;
    // The first event of an account also creates the head of its chain.
    send(&node, &session, vec![put("first", "text", 0)]).await;
    let mut counts = Vec::new();
    for many in [1, 200, 20] {
        let before = own(&node.account_id).len();
        let operations = (0..many).map(|n| put(&format!("{many}-{n}"), "text", 0));
        let statuses = send(&node, &session, operations.collect()).await;
        assert!(statuses.iter().all(|status| *status == result::Status::Applied), "{statuses:?}");
        counts.push(own(&node.account_id).len() - before);
    }
    println!("{:?}: {} statements", db.engine, counts[0]);
    // The same with edits, deletions, conflicts, renames and logouts.
    let mut mixed = Vec::new();
    for many in [1, 40] {
        let gone = (0..many).map(|_| node.create());
        let gone: Vec<String> =
            futures_util::future::join_all(gone).await.iter().map(|key| key.id().to_owned()).collect();
        let before = own(&node.account_id).len();
        let operations = (0..many).flat_map(|n| {
            let draft = format!("200-{}", n + many);
            let device = json!({"id": uuid(), "kind": "device.rename", "deviceId": "dev_none", "name": "N"});
            let logout = json!({"id": uuid(), "kind": "session.logout", "sessionId": gone[n]});
            [put(&draft, "edited", 1), put(&draft, "stale", 1), delete(&draft, 2), device, logout]
        });
        let statuses = send(&node, &session, operations.collect()).await;
        assert_eq!(statuses.iter().filter(|status| **status == result::Status::Rejected).count(), many);
        mixed.push(own(&node.account_id).len() - before);
    }
    assert_eq!(mixed[0], mixed[1], "{mixed:?}");
    assert!(counts[0] > 5 && counts.iter().all(|count| *count == counts[0]), "{counts:?}");

    // Other accounts have many more rows.
    let (text, at) = ("'x'", "INSTANT(0)");
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)";
    db.sql(&format!(
        "INSERT INTO accounts (id, email, email_key, name, role, password_hash, created_at, password_changed_at) {numbers} \
         SELECT 'acc_' || i, 'n' || i, 'n' || i, 'N', 'member', 'none', {at}, {at} FROM n WHERE i <= 400"
    ));
    db.sql(&format!(
        "INSERT INTO drafts (account_id, id, text, version, revision, updated_at, updated_on) {numbers} \
         SELECT 'acc_' || (1 + i % 400), 'd' || i, {text}, 1, i, {at}, 'D' FROM n"
    ));
    let bytes = if db.engine == Engine::Postgres { "'\\x00'" } else { "x'00'" };
    db.sql(&format!(
        "INSERT INTO operations (account_id, id, digest, result, at) {numbers} \
         SELECT 'acc_' || (1 + i % 400), 'o' || i, {bytes}, '{{}}', {at} FROM n"
    ));
    db.sql(&format!(
        "INSERT INTO audit_repeats (account_id, kind, began_at, recorded, held) {numbers} \
         SELECT 'acc_' || (1 + i % 400), 'kind' || i, {at}, 1, 0 FROM n"
    ));
    db.sql(if db.engine == Engine::Postgres { "VACUUM ANALYZE" } else { "ANALYZE" });
    let before = own(&node.account_id).len();
    send(&node, &session, vec![put("1-0", "edited", 1), delete("20-3", 1), put("1-0", "stale", 1)]).await;
    for query in own(&node.account_id).into_iter().skip(before) {
        let (statement, _) = query.split_once("-- binds").expect("values");
        // Chain heads are looked up by account, and only the driver knows the types of their values.
        if statement.starts_with("INSERT") || statement.starts_with("WITH heads (") {
            continue;
        }
        let plan = db.explain(statement);
        let goes_through = match db.engine {
            // `session_generation` has one row.
            Engine::Sqlite => plan.lines().any(|step| {
                step.contains("SCAN ") && !["CONSTANT", "session_generation"].iter().any(|small| step.contains(small))
            }),
            Engine::Postgres => plan.contains("Seq Scan on drafts") || plan.contains("Seq Scan on operations"),
        };
        assert!(!goes_through, "{plan}\n{statement}");
    }
}

/// The recorded statements that name this account.
fn own(account: &str) -> Vec<String> {
    SEEN.lock().unwrap().iter().filter(|query| query.contains(account)).cloned().collect()
}

async fn send(node: &Node, session: &SessionKey, operations: Vec<serde_json::Value>) -> Vec<result::Status> {
    let who = Who { account_id: node.account_id.clone(), session_id: session.id().to_owned(), device_id: None };
    let acting = Acting::new(who.clone(), session.clone());
    let sender = Sender { who, acting, device_name: "Phone".into(), ip: None, is_confirmed: true, room: 8 << 20 };
    let sent = || operations.iter().map(|one| Sent::read(&to_raw_value(one).unwrap())).collect();
    let known =
        ClientRevision { revision: Revision { history: String::new(), count: 0, began: None }, is_sealed: true };
    let facts = Facts::default();
    let applied = apply::apply(&node.sessions.db, &sender, sent, Some(&known), &facts);
    let applied = applied.await.unwrap().expect("a live session");
    applied.results.iter().map(|result| result.status).collect()
}
