//! Several clients send the same queue, and the program is killed while it applies a queue. A queue is applied
//! completely or not at all, and only once.

#![expect(clippy::print_stdout, reason = "figures, for whoever asks cargo to show them")]

use std::thread;

use serde_json::{Value, json};

use super::{KIM, changes_of, put, results, send, serve_process, signed_in, texts};
use crate::support::{Server, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    six_senders_of_one_queue_have_one_effect,
    a_revision_never_hides_an_earlier_change,
    a_sync_cut_off_by_kill_9_is_whole_or_absent,
}

async fn six_senders_of_one_queue_have_one_effect(db: TestDb) {
    let server = serve_process(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    results(&mut phone, &[put("shared", "begun", 0)]);
    let mut queue: Vec<Value> = (0..40).map(|n| put(&format!("d{n}"), &format!("text {n}"), 0)).collect();
    queue.push(put("shared", "stale", 7));
    let senders: Vec<_> = (0..6)
        .map(|n| {
            let (mut client, queue) = (signed_in(&server, KIM, &format!("Device {n}")), queue.clone());
            thread::spawn(move || results(&mut client, &queue))
        })
        .collect();
    let answers: Vec<Vec<Value>> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    for at in 0..queue.len() {
        let firsts = answers.iter().filter(|answer| answer[at]["status"] != "duplicate").count();
        assert_eq!(firsts, 1, "{at}");
        assert!(answers.iter().all(|answer| answer[at]["draft"] == answers[0][at]["draft"]), "{at}");
    }
    assert_eq!(texts(&mut phone).len(), 42);
    assert_eq!(changes_of(&phone.get("/api/drafts").json()["revision"]), 42);
}

async fn a_sync_cut_off_by_kill_9_is_whole_or_absent(db: TestDb) {
    let mut server = serve_process(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let (mut whole, mut nothing) = (0, 0);
    let long = {
        let queue: Vec<Value> = (0..100).map(|n| put(&format!("first-{n}"), "x", 0)).collect();
        let began = std::time::Instant::now();
        results(&mut phone, &queue);
        began.elapsed()
    };
    for round in 0..12_u32 {
        let queue: Vec<Value> = (0..100).map(|n| put(&format!("r{round}-{n}"), "x", 0)).collect();
        let before = count(&db);
        let mut sender = phone;
        let call = json!({"operations": queue});
        let sending = thread::spawn(move || {
            let headers = [("Content-Type", "application/json")];
            let _ = sender.try_send("POST", "/api/session/sync", &headers, call.to_string().as_bytes());
            sender
        });
        // Kill at varying times, from at once to long after a call is done.
        let until = std::time::Instant::now() + long * round * round / 30;
        while std::time::Instant::now() < until {
            thread::yield_now();
        }
        server.kill();
        drop(sending.join().unwrap());
        let after = count(&db);
        assert!(after == before || after == before + 100, "{before} and then {after}");
        whole += usize::from(after > before);
        nothing += usize::from(after == before);
        server = Server::start(&db, &[]);
        phone = signed_in(&server, KIM, "Phone");
        let again = send(&mut phone, &json!({"operations": queue})).json();
        let wanted = if after > before { "duplicate" } else { "applied" };
        assert!(again["results"].as_array().unwrap().iter().all(|one| one["status"] == wanted), "{wanted}");
        assert_eq!(count(&db), before + 100);
        db.sql("DELETE FROM drafts");
    }
    println!("{whole} were there as a whole, {nothing} not at all");
    assert!(whole > 0 && nothing > 0, "both outcomes must occur");
}

fn count(db: &TestDb) -> usize {
    db.sql("SELECT count(*) FROM drafts").parse().unwrap()
}

async fn a_revision_never_hides_an_earlier_change(db: TestDb) {
    let server = serve_process(&db);
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let mut client = signed_in(&server, KIM, &format!("Device {n}"));
            thread::spawn(move || {
                for k in 0..25 {
                    results(&mut client, &[put(&format!("w{n}-{k}"), "x", 0), put(&format!("w{n}-{k}"), "y", 1)]);
                }
            })
        })
        .collect();
    // A client that follows the changes and takes each answer as complete up to its revision.
    let mut reader = signed_in(&server, KIM, "Reader");
    let (mut known, mut seen) = (Value::Null, std::collections::BTreeMap::new());
    while known.is_null() || changes_of(&known) != 200 {
        let told = send(&mut reader, &json!({"lastKnown": {"revision": known}})).json();
        for draft in told["changes"]["drafts"].as_array().unwrap() {
            seen.insert(draft["id"].clone().to_string(), draft["version"].clone());
        }
        known = told["revision"].clone();
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!((seen.len(), seen.values().all(|version| *version == 2)), (100, true));
}
