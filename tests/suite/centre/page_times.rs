//! The response times of the pages for an account with 20 devices and 100,000 events, among 1,000,000 events of others.
//! The long version (`SESSILE_TEST_LONG`, with `--release`) checks the limit. Otherwise the case runs with a hundredth
//! of the rows.

#![expect(clippy::print_stdout, reason = "times, for whoever asks cargo to show them")]

use std::time::{Duration, Instant};

use super::{KIM, serve, signed_in};
use crate::support::{Client, Engine, TestDb, is_long, on_both_engines_and_citus};

on_both_engines_and_citus! {
    pages_of_a_busy_account_are_fast_among_many_others,
}

/// The limit for the second slowest of a hundred pages.
const LIMIT: Duration = Duration::from_millis(50);

async fn pages_of_a_busy_account_are_fast_among_many_others(db: TestDb) {
    let server = serve(&db);
    let mut client = signed_in(&server, KIM, "Device 1");
    for n in 2..=20 {
        signed_in(&server, KIM, &format!("Device {n}"));
    }
    let (events, times) = if is_long() { (1_100_000, 500) } else { (11_000, 20) };
    seed(&db, events);
    seed_sessions(&db, if is_long() { 100_000 } else { 2_000 });
    if db.engine == Engine::Postgres {
        // As autovacuum does on a production PostgreSQL. SQLite has no counterpart that runs by itself.
        db.sql("VACUUM ANALYZE");
    }
    let newest = client.get("/activity").body;
    assert!(newest.contains("\">Older</a>"), "{newest}");
    let middle = format!("/activity?before={}", events / 2);
    let filtered = "/activity?show=wrong-passwords";
    let mut slow = Vec::new();
    for page in ["/devices", "/activity", &middle, filtered, "/activity?show=changes", "/dashboard"] {
        let (p50, p99) = measure(&mut client, page, times);
        println!("{:?} {events} events, {page}: p50 {p50:.1?}, p99 {p99:.1?}", db.engine);
        slow.extend((p99 >= LIMIT).then(|| format!("{page}: {p99:.1?}")));
    }
    assert!(!is_long() || slow.is_empty(), "{slow:?}");
}

/// Adds sessions of other accounts, a third of them live, and as many ended sessions on the account's own devices.
fn seed_sessions(db: &TestDb, many: usize) {
    let postgres = db.engine == Engine::Postgres;
    let (bytes, no) = if postgres { ("BYTEA", "false") } else { ("BLOB", "0") };
    let state = if postgres { "'{}'" } else { "jsonb('{}')" };
    let columns = "id, secret_hash, account_id, device_id, created_at, authenticated_at, last_activity, expires_at, \
                   absolute_expires_at, browser, os, kind, installed, version, state, data, ended_at, ended_reason";
    let values = |prefix: &str| format!("'{prefix}' || i, CAST('{prefix}' || i AS {bytes})");
    let rest = |ended: &str, reason: &str| {
        format!(
            "INSTANT(-9000), INSTANT(-9000), INSTANT(-5000), INSTANT(9000), INSTANT(9000), 'B', 'O', 'other', {no}, 1, {state}, \
             '{{}}', {ended}, {reason}"
        )
    };
    let numbers = db.engine.numbers(many);
    db.sql(&format!(
        "INSERT INTO sessions ({columns}) SELECT {}, 'acc_' || (1 + i % 1000), NULL, {} FROM {numbers}",
        values("aiq_other_"),
        rest("CASE i % 3 WHEN 0 THEN NULL ELSE INSTANT(-4000) END", "CASE i % 3 WHEN 0 THEN NULL ELSE 'expired' END")
    ));
    db.sql(&format!(
        "INSERT INTO sessions ({columns}) SELECT {}, d.account_id, d.id, {} FROM {numbers}, devices d \
         WHERE d.name = 'Device ' || (1 + n.i % 20)",
        values("aiq_own_"),
        rest("INSTANT(-4000)", "'expired'")
    ));
}

/// Adds events. One in eleven belongs to the account; half of these are older than a week.
fn seed(db: &TestDb, events: usize) {
    db.sql(&format!(
        "INSERT INTO accounts (id, email, email_key, name, role, password_hash, created_at, password_changed_at) \
         SELECT 'acc_' || i, 'n' || i || '@example.com', 'n' || i || '@example.com', 'N', 'member', 'none', INSTANT(0), \
         INSTANT(0) FROM {}",
        db.engine.numbers(1000)
    ));
    db.sql(&format!(
        "INSERT INTO audit (id, at, kind, account_id, actor, device_id, device_name, ip) \
         SELECT 1000 + i, CASE WHEN i < {} THEN INSTANT(-9000000) ELSE INSTANT(-3000) END, \
         CASE (i / 11) % 6 WHEN 5 THEN 'login.failed' WHEN 0 THEN 'login.succeeded' WHEN 1 THEN 'session.created' WHEN 2 THEN 'logout' \
         WHEN 3 THEN 'login.confirmed' ELSE 'session.regenerated' END, \
         CASE i % 11 WHEN 0 THEN (SELECT id FROM accounts WHERE email = '{KIM}') ELSE 'acc_' || (1 + i % 1000) END, \
         'system', 'dev_' || (i % 20), 'Device ' || (i % 20), '192.0.2.' || (i % 250) FROM {}",
        events / 2,
        db.engine.numbers(events)
    ));
}

fn measure(client: &mut Client, page: &str, times: usize) -> (Duration, Duration) {
    let mut took: Vec<Duration> = (0..times + 5)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(client.get(page).status, 200);
            start.elapsed()
        })
        .skip(5)
        .collect();
    took.sort_unstable();
    (took[times / 2], took[times * 99 / 100])
}
