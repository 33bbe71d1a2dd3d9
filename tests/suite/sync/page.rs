//! `/drafts` by forms alone.

use super::{KIM, put, result, results, serve, signed_in, texts, uuid};
use crate::support::{Answer, Client, TestDb, on_both_engines};

on_both_engines! {
    a_draft_is_written_edited_and_deleted,
    a_form_that_is_sent_twice_has_one_effect,
    a_text_that_is_too_long_is_shown_again_with_what_is_wrong,
    ten_thousand_characters_of_four_bytes_fit_into_a_form,
    two_edits_are_shown_side_by_side_and_one_is_chosen,
    both_are_kept_if_that_is_chosen,
    what_builds_on_a_deleted_draft_is_kept_as_a_new_one,
    a_draft_that_changed_meanwhile_is_not_deleted,
    a_stale_token_loses_nothing_that_was_typed,
    what_is_written_is_text,
    a_text_that_cannot_be_taken_over_is_not_deleted_where_it_stands,
    after_a_refusal_what_is_typed_is_sent_as_something_new,
}

fn form(client: &mut Client, fields: &[(&str, &str)]) -> Answer {
    let csrf = client.form_token("/drafts");
    let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
    client.form("/drafts", &fields)
}

fn save(client: &mut Client, draft: &str, base: &str, text: &str) -> Answer {
    form(client, &[("operation", &uuid()), ("draft", draft), ("base", base), ("text", text)])
}

fn leads_to(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.header("location").unwrap().to_owned()
}

async fn a_draft_is_written_edited_and_deleted(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    assert!(desk.get("/drafts").body.contains("No drafts yet"));
    let page = desk.get("/drafts?draft=new").body;
    let id = page.split("name=\"draft\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(leads_to(&save(&mut desk, &id, "0", "One\r\ntwo\0")), format!("/drafts?draft={id}&done=saved"));
    assert_eq!(texts(&mut desk), ["One\ntwo"]);
    let page = desk.get(&format!("/drafts?draft={id}")).body;
    assert!(page.contains(">\nOne\ntwo</textarea>") && page.contains("Last written on Desk"), "{page}");
    leads_to(&save(&mut desk, &id, "1", "One"));
    assert_eq!(leads_to(&form(&mut desk, &[("delete", &id), ("base", "2")])), "/drafts?done=deleted");
    assert_eq!(texts(&mut desk), [""; 0]);
    assert!(desk.get(&format!("/drafts?draft={id}")).body.contains("not here any more"));
}

async fn a_form_that_is_sent_twice_has_one_effect(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    result(&mut desk, &put("one", "a", 0));
    let operation = uuid();
    for _ in 0..2 {
        let sent = form(&mut desk, &[("operation", &operation), ("draft", "one"), ("base", "1"), ("text", "ab")]);
        assert_eq!(leads_to(&sent), "/drafts?draft=one&done=saved");
    }
    assert_eq!(texts(&mut desk), ["ab"]);
}

async fn a_text_that_is_too_long_is_shown_again_with_what_is_wrong(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let text = "wave ".repeat(2_001);
    let answer = save(&mut desk, "one", "0", &text);
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains(&text) && answer.body.contains("at most 10,000 characters"), "{answer:?}");
    assert!(answer.body.contains("aria-invalid=\"true\""), "{answer:?}");
}

async fn ten_thousand_characters_of_four_bytes_fit_into_a_form(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let text = "😀".repeat(10_000);
    leads_to(&save(&mut desk, "one", "0", &text));
    assert_eq!(texts(&mut desk), [text]);
}

async fn two_edits_are_shown_side_by_side_and_one_is_chosen(db: TestDb) {
    let server = serve(&db);
    let (mut phone, mut desk) = (signed_in(&server, KIM, "Phone"), signed_in(&server, KIM, "Desk"));
    for (keep, wanted) in [("this", "At the desk"), ("other", "On the phone")] {
        let id = format!("draft-{keep}");
        results(&mut desk, &[put(&id, "Begun", 0), put(&id, "At the desk", 1)]);
        let address = leads_to(&save(&mut phone, &id, "1", "On the phone"));
        let page = phone.get(&address).body;
        assert!(page.contains("written in two places at once"), "{page}");
        assert!(page.contains("At the desk") && page.contains("On the phone"), "{page}");
        assert_eq!(phone.get(&format!("/drafts?draft={id}")).body.matches("class=\"card version\"").count(), 2);
        let copy = page.split("name=\"other\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let chosen =
            form(&mut phone, &[("draft", &id), ("base", "2"), ("other", &copy), ("other_base", "1"), ("keep", keep)]);
        assert_eq!(leads_to(&chosen), format!("/drafts?draft={id}&done=chosen"));
        assert_eq!(texts(&mut phone), [wanted]);
        form(&mut phone, &[("delete", &id), ("base", if keep == "this" { "2" } else { "3" })]);
    }
    assert_eq!(texts(&mut phone), [""; 0]);
}

async fn both_are_kept_if_that_is_chosen(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    results(&mut desk, &[put("one", "a", 0), put("one", "b", 1)]);
    let copy = result(&mut desk, &put("one", "c", 1))["draft"]["id"].as_str().unwrap().to_owned();
    let known = desk.get("/api/drafts").json()["revision"].clone();
    assert_eq!(leads_to(&form(&mut desk, &[("both", &copy)])), format!("/drafts?draft={copy}&done=both"));
    assert_eq!(texts(&mut desk), ["b", "c"]);
    assert!(!desk.get("/drafts?draft=one").body.contains("in two places"));
    let call = serde_json::json!({"lastKnown": {"revision": known}});
    let news = super::send(&mut desk, &call).json()["changes"]["drafts"].clone();
    assert!(news[0]["id"] == copy.as_str() && news[0].get("conflictOf").is_none(), "other devices hear of it: {news}");
    assert_eq!(form(&mut desk, &[("both", &copy)]).status, 404);
}

async fn what_builds_on_a_deleted_draft_is_kept_as_a_new_one(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    results(&mut desk, &[put("one", "a", 0), super::delete("one", 1)]);
    let address = leads_to(&save(&mut desk, "one", "1", "a, gone on with"));
    assert!(address.ends_with("&done=kept") && !address.contains("draft=one&"), "{address}");
    assert_eq!(texts(&mut desk), ["a, gone on with"]);
}

async fn a_draft_that_changed_meanwhile_is_not_deleted(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    results(&mut desk, &[put("one", "a", 0), put("one", "b", 1)]);
    assert_eq!(leads_to(&form(&mut desk, &[("delete", "one"), ("base", "1")])), "/drafts?draft=one&done=changed");
    assert_eq!(texts(&mut desk), ["b"]);
    assert_eq!(form(&mut desk, &[("delete", "never"), ("base", "1")]).status, 404);
}

async fn a_stale_token_loses_nothing_that_was_typed(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let operation = uuid();
    let fields = [
        ("csrf", "stale"),
        ("operation", operation.as_str()),
        ("draft", "one"),
        ("base", "0"),
        ("text", "Typed words"),
    ];
    let answer = desk.form("/drafts", &fields);
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.body.contains("Typed words</textarea>") && answer.body.contains(&operation), "{answer:?}");
    assert_eq!(texts(&mut desk), [""; 0]);
}

async fn what_is_written_is_text(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let text = "</textarea><script>alert(1)</script>\"'&amp;";
    results(&mut desk, &[put("one", text, 0)]);
    result(&mut desk, &put("one", &format!("{text}!"), 7));
    for address in ["/drafts", "/drafts?draft=one"] {
        let page = desk.get(address).body;
        assert!(
            !page.contains("<script>alert") && page.contains("&lt;script&gt;") || page.contains("&#60;script&#62;"),
            "{page}"
        );
    }
}

async fn a_text_that_cannot_be_taken_over_is_not_deleted_where_it_stands(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    results(&mut desk, &[put("one", "a", 0), put("one", "b", 1)]);
    let copy = result(&mut desk, &put("one", "c", 1))["draft"]["id"].as_str().unwrap().to_owned();
    let many: Vec<_> = (2..500).map(|n| put(&format!("d{n}"), "x", 0)).collect();
    for some in many.chunks(200) {
        assert!(results(&mut desk, some).iter().all(|result| result["status"] == "applied"));
    }
    // Changed since the choice was shown, and no room for one more.
    result(&mut desk, &put("one", "b, changed", 2));
    let chosen =
        form(&mut desk, &[("draft", "one"), ("base", "2"), ("other", &copy), ("other_base", "1"), ("keep", "other")]);
    assert_eq!(leads_to(&chosen), "/drafts?draft=one");
    let texts = texts(&mut desk);
    assert!(texts.iter().any(|text| text == "c") && texts.iter().any(|text| text == "b, changed"), "{texts:?}");
}

async fn after_a_refusal_what_is_typed_is_sent_as_something_new(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let operation = uuid();
    leads_to(&form(&mut desk, &[("operation", &operation), ("draft", "one"), ("base", "0"), ("text", "First")]));
    // The browser went back to the form, and something else was typed in it.
    let answer = form(&mut desk, &[("operation", &operation), ("draft", "one"), ("base", "0"), ("text", "Second")]);
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.body.contains("Second</textarea>"), "{answer:?}");
    let next = answer.body.split("name=\"operation\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_ne!(next, operation);
    leads_to(&form(&mut desk, &[("operation", &next), ("draft", "one"), ("base", "0"), ("text", "Second")]));
    assert_eq!(texts(&mut desk), ["First", "Second"]);
}
