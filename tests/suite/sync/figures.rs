//! The duration of a sync. More runs with `SESSILE_TEST_LONG`.

#![expect(clippy::print_stdout, reason = "times, for whoever asks cargo to show them")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{KIM, put, send, serve, signed_in};
use crate::support::{TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    syncs_of_1_20_and_200_operations,
}

#[expect(clippy::disallowed_methods, reason = "the tests' own setting, not the product's")]
fn times() -> usize {
    if std::env::var_os("SESSILE_TEST_LONG").is_some() { 200 } else { 5 }
}

async fn syncs_of_1_20_and_200_operations(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    for many in [1, 20, 200] {
        let mut took: Vec<Duration> = Vec::new();
        let mut known = send(&mut phone, &json!({})).json()["revision"].clone();
        for round in 0..times() {
            let base = i64::from(round > 0) * i64::try_from(round).unwrap();
            let operations: Vec<Value> = (0..many)
                .map(|n| put(&format!("{many}-{n}"), &format!("{} {round}", "text ".repeat(40)), base))
                .collect();
            let call = json!({"lastKnown": {"revision": known}, "operations": operations});
            let began = Instant::now();
            let answer = send(&mut phone, &call);
            took.push(began.elapsed());
            assert_eq!(answer.status, 200, "{answer:?}");
            known = answer.json()["revision"].clone();
        }
        took.sort();
        let at = |share: usize| took[(took.len() - 1) * share / 100];
        println!("{:?}, {many} operations: p50 {:.1?}, p99 {:.1?}", db.engine, at(50), at(99));
    }
}
