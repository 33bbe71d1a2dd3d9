//! The limit on the size of an account's drafts, and the limit on the drafts in one answer.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{KIM, assert_rejected, changes_of, delete, put, result, results, revision, send, signed_in, sync, texts};
use crate::support::{Answer, App, Client, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_put_over_the_limit_is_rejected_until_space_is_freed,
    the_copy_that_a_conflict_makes_counts_too,
    an_account_with_too_much_may_still_shorten_choose_and_delete,
    puts_at_once_come_to_no_more_than_the_room,
    a_form_beyond_the_room_shows_the_text_again,
    changes_come_in_complete_portions,
    the_list_comes_in_portions,
    the_page_lists_a_hundred_and_leads_to_the_rest,
    reported_deletions_are_bounded,
}

/// Characters of four bytes, so that three texts of 10,000 characters are more than 100 KiB.
fn crabs(many: usize) -> String {
    "\u{1F980}".repeat(many)
}

fn serve(db: &TestDb, room: &str) -> App {
    add_user(db, KIM, "owner");
    App::start(db, &[("SESSILE_DRAFTS_MAX", room)])
}

fn held(db: &TestDb) -> usize {
    db.sql("SELECT coalesce(sum(octet_length(text)), 0) FROM drafts").parse().expect("a number")
}

async fn a_put_over_the_limit_is_rejected_until_space_is_freed(db: TestDb) {
    let server = serve(&db, "100KiB");
    let mut phone = signed_in(&server, KIM, "Phone");
    let told = results(
        &mut phone,
        &[
            put("one", &crabs(10_000), 0),
            put("two", &crabs(10_000), 0),
            put("three", &crabs(10_000), 0),
            put("four", &crabs(5_600), 0),
        ],
    );
    let statuses: Vec<&Value> = told.iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, ["applied", "applied", "rejected", "applied"], "fills the limit exactly");
    assert_rejected(&told[2], "quota");
    let words = told[2]["problem"]["detail"].as_str().expect("words");
    assert!(words.contains("100 KiB"), "{words}");
    assert_eq!(held(&db), 102_400);
    assert_rejected(&result(&mut phone, &put("four", &crabs(5_601), 1)), "quota");
    // Deleting or shortening frees space, even for later operations of the same call.
    let told = results(&mut phone, &[delete("one", 1), put("three", &crabs(10_000), 0), put("two", "x", 1)]);
    assert!(told.iter().all(|one| one["status"] == "applied"), "{told:?}");
    assert_eq!(result(&mut phone, &put("five", &crabs(9_999), 0))["status"], "applied");
    // Another account's limit is not affected.
    add_user(&db, "sam@example.com", "member");
    let mut sam = signed_in(&server, "sam@example.com", "Desk");
    assert_eq!(result(&mut sam, &put("one", &crabs(10_000), 0))["status"], "applied");
}

async fn the_copy_that_a_conflict_makes_counts_too(db: TestDb) {
    let server = serve(&db, "100KiB");
    let mut phone = signed_in(&server, KIM, "Phone");
    sync(&mut phone, &[put("one", &crabs(10_000), 0)]);
    let other = |n: usize| put("one", &format!("{n}{}", crabs(9_999)), 77);
    assert_eq!(result(&mut phone, &other(1))["status"], "conflict");
    assert_rejected(&result(&mut phone, &other(2)), "quota");
    assert_eq!(texts(&mut phone).len(), 2);
}

async fn an_account_with_too_much_may_still_shorten_choose_and_delete(db: TestDb) {
    let server = serve(&db, "1MiB");
    let mut phone = signed_in(&server, KIM, "Phone");
    let many: Vec<Value> = (0..5).map(|n| put(&format!("d{n}"), &crabs(5_000), 0)).collect();
    sync(&mut phone, &many);
    let copy = result(&mut phone, &put("d0", &crabs(6_000), 7))["draft"]["id"].as_str().expect("an id").to_owned();
    drop(server);
    let server = App::start(&db, &[("SESSILE_DRAFTS_MAX", "1KiB")]);
    let mut phone = signed_in(&server, KIM, "Phone");
    assert_rejected(&result(&mut phone, &put("d1", &crabs(5_001), 1)), "quota");
    assert_rejected(&result(&mut phone, &put("another", "x", 0)), "quota");
    let told =
        results(&mut phone, &[put("d1", &crabs(4_999), 1), delete("d2", 1), put("d3", &"y".repeat(20_000 / 2), 1)]);
    assert!(told.iter().all(|one| one["status"] == "applied"), "{told:?}");
    let csrf = phone.form_token("/account");
    let fields = [
        ("csrf", csrf.as_str()),
        ("keep", "other"),
        ("draft", "d0"),
        ("base", "1"),
        ("other", &copy),
        ("other_base", "1"),
    ];
    assert_eq!(phone.form("/drafts", &fields).status, 303);
    assert!(texts(&mut phone).contains(&crabs(6_000)));
}

async fn puts_at_once_come_to_no_more_than_the_room(db: TestDb) {
    let server = serve(&db, "100KiB");
    let other_node = App::start(&db, &[("SESSILE_DRAFTS_MAX", "100KiB")]);
    let clients: Vec<Client> =
        [&server, &other_node, &server, &other_node].map(|one| signed_in(one, KIM, "Phone")).into();
    let applied: usize = std::thread::scope(|scope| {
        let each = clients.into_iter().enumerate().map(|(n, mut client)| {
            scope.spawn(move || {
                let puts = (0..10).map(|i| put(&format!("d{n}-{i}"), &crabs(2_560), 0));
                puts.filter(|put| result(&mut client, put)["status"] == "applied").count()
            })
        });
        each.collect::<Vec<_>>().into_iter().map(|one| one.join().expect("a client")).sum()
    });
    assert_eq!((applied, held(&db)), (10, 102_400), "as many drafts as fit");
}

async fn a_form_beyond_the_room_shows_the_text_again(db: TestDb) {
    let server = serve(&db, "10KiB");
    let mut desk = signed_in(&server, KIM, "Desk");
    let text = format!("the beginning {}", "x".repeat(9_900));
    sync(&mut desk, &[put("one", &"y".repeat(1_000), 0)]);
    let csrf = desk.form_token("/account");
    let operation = super::uuid();
    let answer = desk.form(
        "/drafts",
        &[
            ("csrf", csrf.as_str()),
            ("operation", operation.as_str()),
            ("draft", "two"),
            ("base", "0"),
            ("text", text.as_str()),
        ],
    );
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(
        answer.body.contains(&text) && answer.body.contains("An account has room for 10 KiB of drafts"),
        "{}",
        answer.body
    );
    assert_eq!(held(&db), 1_000);
}

/// Follows the changes from a known revision until there are no more, as a client does.
fn follow(client: &mut Client, mut known: Value) -> (Vec<Answer>, BTreeSet<String>) {
    let (mut answers, mut ids) = (Vec::new(), BTreeSet::new());
    loop {
        let answer = send(client, &json!({"lastKnown": {"revision": known}}));
        assert_eq!(answer.status, 200, "{answer:?}");
        let told = answer.json();
        for draft in told["changes"]["drafts"].as_array().expect("a list") {
            let id = draft["id"].as_str().expect("an id").to_owned();
            if draft.get("deleted").is_some() {
                ids.remove(&id)
            } else {
                ids.insert(id)
            };
        }
        known = told["revision"].clone();
        answers.push(answer);
        if told["changes"].get("more").is_none() {
            return (answers, ids);
        }
        assert!(answers.len() < 20, "the changes have no end");
    }
}

fn fill(client: &mut Client, many: usize) {
    let puts: Vec<Value> = (0..many).map(|n| put(&format!("d{n:03}"), &crabs(10_000), 0)).collect();
    for some in puts.chunks(6) {
        assert!(results(client, some).iter().all(|one| one["status"] == "applied"));
    }
}

async fn changes_come_in_complete_portions(db: TestDb) {
    let server = serve(&db, "8MiB");
    let mut phone = signed_in(&server, KIM, "Phone");
    fill(&mut phone, 60);
    let (answers, ids) = follow(&mut phone, Value::Null);
    assert_eq!((answers.len(), ids.len()), (3, 60));
    assert!(answers.iter().all(|answer| answer.body.len() < 1_200_000));
    let resets: Vec<bool> = answers.iter().map(|answer| answer.json()["changes"].get("reset").is_some()).collect();
    assert_eq!(resets, [true, false, false], "the client begins anew once");
    // Starting from a known revision, with changes for more than one portion.
    let from = revision(&db, &mut phone, 5);
    let (answers, ids) = follow(&mut phone, from);
    assert_eq!((answers.len(), ids.len()), (3, 55));
    assert!(answers.iter().all(|answer| answer.json()["changes"].get("reset").is_none()));
    // Between two portions a draft is deleted, another is created, and an old deletion is forgotten.
    let first = send(&mut phone, &json!({})).json();
    sync(&mut phone, &[delete("d000", 1), put("another", "x", 0)]);
    db.sql("UPDATE accounts SET drafts_floor = 55");
    let (answers, ids) = follow(&mut phone, first["revision"].clone());
    assert!(
        answers.iter().all(|answer| answer.json()["changes"].get("reset").is_none()),
        "the client does not begin anew"
    );
    assert_eq!(ids.len(), 60 - 26 + 1, "{ids:?}");
    let (_, all) = follow(&mut phone, Value::Null);
    assert!(ids.is_subset(&all) && !all.contains("d000"));
    // A client that began before the floor was raised begins anew.
    db.sql("UPDATE accounts SET drafts_floor = revision");
    assert_eq!(
        send(&mut phone, &json!({"lastKnown": {"revision": first["revision"]}})).json()["changes"]["reset"],
        true
    );
}

async fn the_list_comes_in_portions(db: TestDb) {
    let server = serve(&db, "8MiB");
    let mut phone = signed_in(&server, KIM, "Phone");
    fill(&mut phone, 60);
    let (mut address, mut ids, mut answers) = ("/api/drafts".to_owned(), Vec::new(), 0);
    loop {
        let listed = phone.get(&address).json();
        assert_eq!(changes_of(&listed["revision"]), 60);
        let drafts = listed["drafts"].as_array().expect("a list");
        ids.extend(drafts.iter().map(|draft| draft["id"].as_str().expect("an id").to_owned()));
        answers += 1;
        let Some(next) = listed["next"].as_str() else { break };
        address = format!("/api/drafts?after={next}");
    }
    let expected: Vec<String> = (0..60).rev().map(|n| format!("d{n:03}")).collect();
    assert_eq!((answers, ids), (3, expected), "each draft once, most recently changed first");
    let two = phone.get("/api/drafts?limit=2").json();
    assert_eq!((two["drafts"].as_array().map(Vec::len), &two["next"]), (Some(2), &json!("59")));
    for odd in ["limit=0", "limit=2001", "limit=x", "after=x", "after="] {
        assert_eq!(phone.get(&format!("/api/drafts?{odd}")).status, 400, "{odd}");
    }
}

async fn the_page_lists_a_hundred_and_leads_to_the_rest(db: TestDb) {
    let server = serve(&db, "8MiB");
    let mut desk = signed_in(&server, KIM, "Desk");
    let many: Vec<Value> = (0..150).map(|n| put(&format!("d{n:03}"), &format!("text {n:03}"), 0)).collect();
    sync(&mut desk, &many);
    let split = result(&mut desk, &put("d149", "another", 7))["draft"]["id"].as_str().expect("an id").to_owned();
    let page = desk.get("/drafts").body;
    assert_eq!(page.matches("class=\"draft-row\"").count(), 100);
    assert_eq!(page.matches("Two versions").count(), 2, "both versions are marked");
    let next = page.split_once("/drafts?after=").expect("a link").1.split_once('"').expect("its end").0.to_owned();
    let rest = desk.get(&format!("/drafts?after={next}")).body;
    assert_eq!(rest.matches("class=\"draft-row\"").count(), 51);
    assert!(!rest.contains("Older drafts") && rest.contains("text 000"));
    // A draft that is on none of the listed pages can still be opened, and so can a pair.
    assert!(desk.get("/drafts?draft=d000").body.contains("text 000</textarea>"));
    for id in ["d149", split.as_str()] {
        let both = desk.get(&format!("/drafts?draft={id}")).body;
        assert!(both.contains("text 149") && both.contains("another") && both.contains("Keep both"), "{both}");
    }
}

async fn reported_deletions_are_bounded(db: TestDb) {
    let server = serve(&db, "8MiB");
    let mut phone = signed_in(&server, KIM, "Phone");
    sync(&mut phone, &[put("one", "x", 0)]);
    let (id, now) = ("(SELECT id FROM accounts)", "INSTANT(0)");
    db.sql(&format!(
        "INSERT INTO drafts (account_id, id, text, version, revision, updated_at, updated_on, deleted_at) \
         SELECT {id}, 'gone' || i, '', 2, i, {now}, 'Phone', {now} FROM {} WHERE i >= 2",
        db.engine.numbers(4101)
    ));
    db.sql("UPDATE accounts SET revision = 4101");
    let told = sync(&mut phone, &[delete("one", 1)]);
    assert_eq!(told["results"][0]["status"], "applied");
    assert_eq!(db.sql("SELECT count(*) FROM drafts"), "4000");
    assert_eq!(db.sql("SELECT drafts_floor FROM accounts"), "102");
    let known = revision(&db, &mut phone, 50);
    assert_eq!(send(&mut phone, &json!({"lastKnown": {"revision": known}})).json()["changes"]["reset"], true);
}
