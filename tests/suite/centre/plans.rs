//! How the engines go about the queries of the pages: by the account, never by what other accounts have.

use std::sync::Mutex;

use diesel::connection::{Instrumentation, InstrumentationEvent};
use sessile::{
    audit::{self, Kind},
    db::Conn,
    device::{arrivals, known},
    session::listing,
};

use super::{KIM, device_id, serve, signed_in};
use crate::support::{Engine, TestDb, on_both_engines};

on_both_engines! {
    no_query_of_the_pages_goes_through_other_accounts_rows,
}

/// The statements of this process, with their values.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn watch() -> Option<Box<dyn Instrumentation>> {
    Some(Box::new(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            SEEN.lock().unwrap().push(query.to_string());
        }
    }))
}

async fn no_query_of_the_pages_goes_through_other_accounts_rows(db: TestDb) {
    let server = serve(&db);
    let device = device_id(&mut signed_in(&server, KIM, "Desk"));
    seed(&db, 2000, 60_000);
    if db.engine == Engine::Postgres {
        db.sql("VACUUM ANALYZE");
    } else {
        db.sql("ANALYZE");
    }
    let account = db.sql("SELECT id FROM accounts WHERE email = 'kim@example.com'");
    diesel::connection::set_default_instrumentation(watch).unwrap();
    let sessions = db.sessions().await;
    let own = account.clone();
    let read = async move |conn: &mut Conn<'_>| {
        known::list(conn, &own).await?;
        known::names(conn, &own, &std::collections::BTreeSet::from([device.as_str(), "dev_other"])).await?;
        known::one(conn, &own, &device).await?;
        listing::list(conn, &own).await?;
        arrivals::list(conn, &own, Some(&device)).await?;
        audit::newest(conn, &own, 24).await?;
        audit::newest_before(conn, &own, Some(30_000), 41).await?;
        audit::of_kinds(conn, &own, &[Kind::LoginFailed, Kind::LoginThrottled], Some(30_000), 41).await?;
        audit::sign_ins_of_last_days(conn, &own, 7).await.map(drop)
    };
    sessions.db.read(read).await.unwrap();
    let mine: Vec<String> = SEEN.lock().unwrap().iter().filter(|query| query.contains(&account)).cloned().collect();
    assert!(mine.len() >= 11, "{mine:#?}");
    for query in mine {
        let (statement, _) = query.split_once("-- binds").expect("values");
        match db.engine {
            Engine::Sqlite => assert_sqlite(&db, statement),
            Engine::Postgres => assert_postgres(&db, statement),
        }
    }
}

/// Accounts, each with devices, sessions and events.
fn seed(db: &TestDb, accounts: usize, events: usize) {
    let numbers =
        |most: usize| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {most})");
    let bytes = if db.engine == Engine::Postgres { "BYTEA" } else { "BLOB" };
    let state = if db.engine == Engine::Postgres { "'{}'" } else { "jsonb('{}')" };
    let no = if db.engine == Engine::Postgres { "false" } else { "0" };
    db.sql(&format!(
        "INSERT INTO accounts (id, email, email_key, name, role, password_hash, created_at, password_changed_at) {} \
         SELECT 'acc_' || i, 'n' || i || '@example.com', 'n' || i || '@example.com', 'N', 'member', 'none', INSTANT(0), \
         INSTANT(0) FROM n",
        numbers(accounts)
    ));
    db.sql(&format!(
        "INSERT INTO devices (id, account_id, secret_hash, name, browser, os, kind, installed, first_seen, last_seen) {} \
         SELECT 'dev_' || i, 'acc_' || (1 + i % {accounts}), CAST('hash' || i AS {bytes}), 'D', 'B', 'O', 'other', {no}, \
         INSTANT(0), INSTANT(0) FROM n",
        numbers(accounts * 20),
    ));
    db.sql(&format!(
        "INSERT INTO sessions (id, secret_hash, account_id, device_id, created_at, authenticated_at, last_activity, expires_at, \
         absolute_expires_at, browser, os, kind, installed, version, state, data) {} SELECT 'aiq_' || i, CAST('hash' || i AS {bytes}), \
         'acc_' || (1 + i % {accounts}), 'dev_' || i, INSTANT(0), INSTANT(0), INSTANT(0), INSTANT(9000), INSTANT(9000), 'B', 'O', \
         'other', {no}, 1, {state}, '{{}}' FROM n",
        numbers(accounts * 20)
    ));
    db.sql(&format!(
        "INSERT INTO audit (at, kind, account_id, actor) {} SELECT INSTANT(-50), CASE i % 3 WHEN 0 THEN 'login.succeeded' \
         WHEN 1 THEN 'login.failed' ELSE 'session.created' END, 'acc_' || (1 + i % {accounts}), 'system' FROM n",
        numbers(events)
    ));
}

/// Conditions that lead to rows of one account, one device, or one row.
const NARROW: [&str; 3] = ["account_id", "device_id", "id"];

fn assert_sqlite(db: &TestDb, statement: &str) {
    let plan = db.explain(statement);
    for step in plan.lines().filter(|step| step.contains("SCAN ") || step.contains("SEARCH ")) {
        let narrow = NARROW.iter().any(|column| step.contains(&format!("({column}=?")));
        assert!(step.contains("SEARCH ") && narrow, "{step}\n{plan}\n{statement}");
    }
    assert!(plan.contains("SEARCH "), "{plan}");
}

fn assert_postgres(db: &TestDb, statement: &str) {
    let plan = db.explain(statement);
    assert!(!plan.contains("Seq Scan"), "{plan}\n{statement}");
    let lines: Vec<&str> = plan.lines().map(str::trim).collect();
    let scans =
        lines.iter().filter(|line| line.contains("Scan") && line.contains("Index") && line.contains("cost=")).count();
    let conditions: Vec<&&str> = lines.iter().filter(|line| line.starts_with("Index Cond:")).collect();
    assert!(scans > 0 && scans == conditions.len(), "{plan}\n{statement}");
    for condition in conditions {
        // "((account_id = $1) AND (id < $2))": the first is an equality with what is narrow.
        let first = condition.trim_start_matches("Index Cond:").trim_matches([' ', '(']);
        let narrow = NARROW.iter().any(|column| {
            first
                .strip_prefix(column)
                .or_else(|| first.strip_prefix(&format!("({column})::text")))
                .is_some_and(|rest| rest.starts_with(" = "))
        });
        assert!(narrow, "{condition}\n{plan}\n{statement}");
    }
}
