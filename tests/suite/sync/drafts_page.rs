//! `/drafts`, used only through forms.

use sha2::{Digest as _, Sha256};

use super::{KIM, put, result, results, serve, signed_in, texts, uuid};
use crate::{
    http::headers::WriteLock,
    process::psql::Psql,
    support::{Answer, Client, Engine, TestDb, on_both_engines_and_citus},
};

on_both_engines_and_citus! {
    a_draft_is_written_edited_and_deleted,
    a_form_sent_twice_has_one_effect,
    a_form_that_was_sent_before_an_upgrade_has_one_effect,
    a_text_that_is_too_long_is_shown_again_with_the_error,
    ten_thousand_characters_of_four_bytes_fit_into_a_form,
    two_edits_are_shown_side_by_side_and_one_is_chosen,
    both_are_kept_if_that_is_chosen,
    an_edit_of_a_deleted_draft_becomes_a_new_draft,
    a_draft_that_changed_meanwhile_is_not_deleted,
    a_stale_token_loses_nothing_that_was_typed,
    drafts_are_escaped_in_pages,
    a_choice_after_a_change_discards_nothing,
    a_choice_sent_twice_is_applied_once,
    while_the_database_is_away_the_text_is_shown_again,
    a_changed_text_after_a_refusal_is_a_new_operation,
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
    assert!(desk.get(&format!("/drafts?draft={id}")).body.contains("This draft no longer exists"));
}

async fn a_form_sent_twice_has_one_effect(db: TestDb) {
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

/// Version 0.1 stored the digest of a form in another format.
async fn a_form_that_was_sent_before_an_upgrade_has_one_effect(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    result(&mut desk, &put("one", "a", 0));
    let operation = uuid();
    let fields = [("operation", operation.as_str()), ("draft", "one"), ("base", "1"), ("text", "ab")];
    leads_to(&form(&mut desk, &fields));
    let digest = Sha256::digest(r#"Put { draft: "one", text: "ab", base: 1 }"#);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let digest = match db.engine {
        Engine::Postgres => format!("decode('{hex}', 'hex')"),
        Engine::Sqlite => format!("x'{hex}'"),
    };
    db.sql(&format!("UPDATE operations SET digest = {digest} WHERE id = '{operation}'"));
    assert_eq!(leads_to(&form(&mut desk, &fields)), "/drafts?draft=one&done=saved");
    assert_eq!(texts(&mut desk), ["ab"]);
}

async fn a_text_that_is_too_long_is_shown_again_with_the_error(db: TestDb) {
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
    assert!(
        news[0]["id"] == copy.as_str() && news[0].get("conflictOf").is_none(),
        "other devices receive the change: {news}"
    );
    assert_eq!(
        leads_to(&form(&mut desk, &[("both", &copy)])),
        format!("/drafts?draft={copy}&done=both"),
        "a double click"
    );
    assert_eq!(form(&mut desk, &[("both", "never")]).status, 404);
}

async fn an_edit_of_a_deleted_draft_becomes_a_new_draft(db: TestDb) {
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

async fn drafts_are_escaped_in_pages(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let text = "</textarea><script>alert(1)</script>\"'&amp;";
    results(&mut desk, &[put("one", text, 0)]);
    result(&mut desk, &put("one", &format!("{text}!"), 7));
    for address in ["/drafts", "/drafts?draft=one"] {
        let page = desk.get(address).body;
        assert!(!page.contains("<script>alert"), "{page}");
        assert!(page.contains("&lt;script&gt;") || page.contains("&#60;script&#62;"), "{page}");
    }
}

/// Creates two versions of a draft, and returns the id of its copy.
fn in_two(desk: &mut Client, id: &str) -> String {
    results(desk, &[put(id, "a", 0), put(id, "b", 1)]);
    result(desk, &put(id, "c", 1))["draft"]["id"].as_str().unwrap().to_owned()
}

fn choose(client: &mut Client, one: &str, other: &str, keep: &str) -> String {
    let fields = [("draft", one), ("base", "2"), ("other", other), ("other_base", "1"), ("keep", keep)];
    leads_to(&form(client, &fields))
}

async fn a_choice_after_a_change_discards_nothing(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    for keep in ["this", "other"] {
        // The draft was edited or deleted, its copy was edited, or the other draft is not its copy.
        let copy = in_two(&mut desk, "edited");
        result(&mut desk, &put("edited", "b!", 2));
        assert_eq!(choose(&mut desk, "edited", &copy, keep), "/drafts?draft=edited&done=again");
        assert_eq!(texts(&mut desk), ["b!", "c"]);
        results(&mut desk, &[super::delete("edited", 3), super::delete(&copy, 1)]);

        let gone = format!("gone-{keep}");
        let copy = in_two(&mut desk, &gone);
        result(&mut desk, &super::delete(&gone, 2));
        assert_eq!(choose(&mut desk, &gone, &copy, keep), format!("/drafts?draft={copy}&done=again"));
        assert_eq!(texts(&mut desk), ["c"]);
        result(&mut desk, &put(&copy, "c!", 1));
        result(&mut desk, &super::delete(&copy, 2));

        let split = format!("split-{keep}");
        let copy = in_two(&mut desk, &split);
        result(&mut desk, &put(&copy, "c!", 1));
        assert_eq!(choose(&mut desk, &split, &copy, keep), format!("/drafts?draft={split}&done=again"));
        assert_eq!(texts(&mut desk), ["b", "c!"]);
        results(&mut desk, &[super::delete(&split, 2), super::delete(&copy, 2)]);

        let own = format!("own-{keep}");
        results(&mut desk, &[put(&own, "a", 0), put(&own, "b", 1)]);
        assert_eq!(choose(&mut desk, &own, &own, keep), format!("/drafts?draft={own}&done=again"));
        assert_eq!(texts(&mut desk), ["b"]);
        result(&mut desk, &super::delete(&own, 2));
        db.sql("DELETE FROM drafts");
    }
}

async fn a_choice_sent_twice_is_applied_once(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let copy = in_two(&mut desk, "one");
    for _ in 0..2 {
        assert_eq!(choose(&mut desk, "one", &copy, "other"), "/drafts?draft=one&done=chosen");
        assert_eq!(texts(&mut desk), ["c"]);
    }
    assert_eq!(db.sql("SELECT version FROM drafts WHERE id = 'one'"), "3");
}

/// Locks the drafts table: no writes, and on PostgreSQL no reads either.
fn hold(db: &TestDb) -> Box<dyn std::any::Any> {
    match db.engine {
        Engine::Sqlite => Box::new(WriteLock::take(db)),
        Engine::Postgres => {
            let mut other = Psql::open(db);
            other.lock("drafts");
            Box::new(other)
        }
    }
}

async fn while_the_database_is_away_the_text_is_shown_again(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let csrf = desk.form_token("/drafts");
    let operation = uuid();
    let away = hold(&db);
    for (token, text) in [(csrf.as_str(), "Typed words"), (csrf.as_str(), &"wave ".repeat(2_001))] {
        let fields = [("csrf", token), ("operation", &operation), ("draft", "one"), ("base", "0"), ("text", text)];
        let answer = desk.form("/drafts", &fields);
        assert!(answer.body.contains(&format!("{text}</textarea>")), "{answer:?}");
        // The check of the length needs no database. The list needs one, and only SQLite can still read.
        let is_away = text.len() < 100 || db.engine == Engine::Postgres;
        assert_eq!(answer.status, if is_away { 503 } else { 422 });
        assert_eq!(answer.header("retry-after").is_some(), is_away, "{answer:?}");
    }
    drop(away);
    assert_eq!(texts(&mut desk), [""; 0]);
}

async fn a_changed_text_after_a_refusal_is_a_new_operation(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let operation = uuid();
    leads_to(&form(&mut desk, &[("operation", &operation), ("draft", "one"), ("base", "0"), ("text", "First")]));
    // The person goes back to the form and types something else.
    let answer = form(&mut desk, &[("operation", &operation), ("draft", "one"), ("base", "0"), ("text", "Second")]);
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.body.contains("Second</textarea>"), "{answer:?}");
    let next = answer.body.split("name=\"operation\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_ne!(next, operation);
    leads_to(&form(&mut desk, &[("operation", &next), ("draft", "one"), ("base", "0"), ("text", "Second")]));
    assert_eq!(texts(&mut desk), ["First", "Second"]);
}
