//! The pages for people: their forms, their questions, and what everybody's activity says afterwards.

use serde_json::json;

use super::{ALEX, KIM, SAM, count, events, form, leads_to, let_confirmations_lapse, serve, signed_in, text};
use crate::support::{PASSWORD, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_person_is_changed_by_a_form,
    a_refused_form_says_why_beside_the_field,
    a_change_by_a_form_needs_a_recent_password_and_loses_nothing,
    sessions_are_ended_one_by_one_or_all,
    a_disabled_person_is_signed_out_and_cannot_sign_in,
    both_read_in_plain_words_what_was_done,
    the_api_changes_all_fields_or_none,
}

async fn a_person_is_changed_by_a_form(db: TestDb) {
    let (server, [kim, _, sam]) = serve(&db);
    let mut client = signed_in(&server, KIM);
    let path = format!("/people/{sam}");
    let page = client.get(&path).body;
    assert!(page.contains("Groups") && page.contains("value=\"sam@example.com\"") && page.contains("Role"), "{page}");
    let fields =
        [("name", "Samantha"), ("email", "samantha@example.com"), ("role", "admin"), ("groups", "Night\r\nTill staff")];
    leads_to(&form(&mut client, &path, &fields), &format!("{path}?done=saved"));
    let person = client.get(&format!("/api/people/{sam}")).json();
    assert_eq!(person["groups"], json!(["Night", "Till staff"]));
    assert_eq!(
        (&person["name"], &person["email"], &person["role"]),
        (&json!("Samantha"), &json!("samantha@example.com"), &json!("admin"))
    );
    assert_eq!(server.client().try_log_in(SAM, PASSWORD).status, 401);
    assert_eq!(server.client().try_log_in("samantha@example.com", PASSWORD).status, 200);
    // The same again changes nothing, and is no event.
    let before = events(&db, &sam).len();
    leads_to(&form(&mut client, &path, &fields), &format!("{path}?done=saved"));
    assert_eq!(events(&db, &sam).len(), before);
    // Whoever becomes an equal is out of reach.
    leads_to(
        &form(&mut client, &path, &[("name", "Samantha"), ("email", "samantha@example.com"), ("role", "owner")]),
        "/people",
    );
    assert_eq!(client.get(&path).status, 403);
    // With another owner, one may step down.
    leads_to(
        &form(&mut client, &format!("/people/{kim}"), &[("name", "Kim"), ("email", KIM), ("role", "member")]),
        "/account",
    );
    assert_eq!(client.get("/people").status, 403);
}

async fn a_refused_form_says_why_beside_the_field(db: TestDb) {
    let (server, [_, _, sam]) = serve(&db);
    let mut client = signed_in(&server, KIM);
    let path = format!("/people/{sam}");
    let cases = [
        ([("name", " "), ("email", SAM), ("groups", "")], "name", "Enter a name."),
        ([("name", "a\u{202E}b"), ("email", SAM), ("groups", "")], "name", "can be read"),
        ([("name", "Sam"), ("email", "nobody"), ("groups", "")], "email", "whole email address"),
        ([("name", "Sam"), ("email", ALEX), ("groups", "")], "email", "already an account"),
        ([("name", "Sam"), ("email", SAM), ("groups", "-x")], "groups", "name of a group"),
    ];
    for (fields, field, words) in cases {
        let answer = form(&mut client, &path, &fields);
        assert_eq!(answer.status, 422, "{fields:?}");
        let (_, rest) =
            answer.body.split_once(&format!("id=\"{field}-error\"")).unwrap_or_else(|| panic!("{answer:?}"));
        assert!(rest.split("</p>").next().unwrap().contains(words), "{field}: {rest}");
        assert_eq!(answer.body.matches(" autofocus").count(), 1, "{answer:?}");
        assert!(fields.iter().all(|(_, typed)| answer.body.contains(typed.trim())), "{answer:?}");
    }
    let stale = client.form(&path, &[("csrf", "stale"), ("name", "Other"), ("email", SAM)]);
    assert_eq!(stale.status, 422);
    assert!(stale.body.contains("open for a while") && stale.body.contains("value=\"Other\""), "{stale:?}");
    assert_eq!(count(&db, "audit WHERE kind LIKE 'account.%' AND kind <> 'account.created'"), 0);
}

async fn a_change_by_a_form_needs_a_recent_password_and_loses_nothing(db: TestDb) {
    let (server, [_, _, sam]) = serve(&db);
    let mut client = signed_in(&server, KIM);
    let_confirmations_lapse(&db);
    let path = format!("/people/{sam}");
    assert!(client.get(&path).body.contains("name=\"current_password\""));
    let fields = [("name", "Samantha"), ("email", SAM), ("groups", "Night")];
    let none = form(&mut client, &path, &fields);
    let wrong = form(&mut client, &path, &[&fields[..], &[("current_password", "not the password 1")]].concat());
    assert_eq!((none.status, wrong.status), (422, 401));
    for shown in [&none.body, &wrong.body] {
        assert!(shown.contains("current_password-error") && shown.contains("value=\"Samantha\""), "{shown}");
        assert!(shown.contains("Night</textarea>") && !shown.contains("not the password"), "{shown}");
    }
    let question = format!("{path}/confirm");
    assert_eq!(form(&mut client, &question, &[("act", "delete")]).status, 422);
    assert_eq!(form(&mut client, &question, &[("act", "delete"), ("current_password", "wrong")]).status, 401);
    assert_eq!(count(&db, &format!("accounts WHERE id = '{sam}' AND name = 'Kim Lee'")), 1);
    let confirmed = [&fields[..], &[("current_password", PASSWORD)]].concat();
    leads_to(&form(&mut client, &path, &confirmed), &format!("{path}?done=saved"));
    assert_eq!(client.get("/api/session").status, 200, "the new key came with the answer");
    leads_to(&form(&mut client, &question, &[("act", "delete")]), "/people?done=deleted");
    assert_eq!(client.get(&path).status, 404);
}

async fn sessions_are_ended_one_by_one_or_all(db: TestDb) {
    let (server, [_, alex, sam]) = serve(&db);
    let mut browsers = [0; 4].map(|_| signed_in(&server, SAM));
    let mut client = signed_in(&server, ALEX);
    let person = client.get(&format!("/api/people/{sam}")).json();
    assert_eq!(person["sessions"], 4);
    let own = browsers[0].get("/api/session").json()["session"].clone();
    let page = client.get(&format!("/people/{sam}")).body;
    assert!(page.contains(&format!("which={}", text(&own["deviceId"]))), "{page}");
    let path = format!("/people/{sam}/confirm");
    let ask = client.get(&format!("{path}?act=sign-out&which={}", text(&own["deviceId"]))).body;
    assert!(ask.contains("Sign Kim Lee out there?"), "{ask}");
    let one = form(&mut client, &path, &[("act", "sign-out"), ("which", &text(&own["deviceId"]))]);
    leads_to(&one, &format!("/people/{sam}?done=signed-out"));
    let second = text(&browsers[1].get("/api/session").json()["session"]["id"]);
    leads_to(
        &form(&mut client, &path, &[("act", "sign-out"), ("which", &second)]),
        &format!("/people/{sam}?done=signed-out"),
    );
    let living = browsers.iter_mut().map(|browser| browser.get("/api/session").status).collect::<Vec<_>>();
    assert_eq!(living, [401, 401, 200, 200]);
    let foreign = text(&client.get("/api/session").json()["session"]["id"]);
    for unknown in ["dev_unknown", "aiq_1_unknown", &foreign] {
        assert_eq!(form(&mut client, &path, &[("act", "sign-out"), ("which", unknown)]).status, 404, "{unknown}");
    }
    let all = client.json("POST", &format!("/api/people/{sam}/revoke-sessions"), &json!({}));
    assert_eq!((all.status, all.json()), (200, json!({"revoked": 2})));
    assert_eq!(browsers[3].get("/api/session").json()["reason"], "revoked");
    let revoked = events(&db, &sam).into_iter().filter(|(kind, _)| kind == "session.revoked").collect::<Vec<_>>();
    assert_eq!(revoked, vec![("session.revoked".to_owned(), alex.clone()); 4]);
    let own = events(&db, &alex).into_iter().filter(|(kind, _)| kind == "session.revoked").count();
    assert_eq!(own, 3, "one for each thing that the admin did");
}

async fn a_disabled_person_is_signed_out_and_cannot_sign_in(db: TestDb) {
    let (server, [_, _, sam]) = serve(&db);
    let (mut client, mut own) = (signed_in(&server, ALEX), signed_in(&server, SAM));
    let path = format!("/people/{sam}/confirm");
    leads_to(&form(&mut client, &path, &[("act", "disable")]), &format!("/people/{sam}?done=disabled"));
    assert_eq!(own.get("/api/session").status, 401);
    assert_eq!(server.client().try_log_in(SAM, PASSWORD).status, 401);
    assert_eq!(client.get(&format!("/api/people/{sam}")).json()["status"], "disabled");
    assert!(client.get("/people").body.contains("Disabled"));
    leads_to(&form(&mut client, &path, &[("act", "enable")]), &format!("/people/{sam}?done=enabled"));
    assert_eq!(server.client().try_log_in(SAM, PASSWORD).status, 200);
}

async fn both_read_in_plain_words_what_was_done(db: TestDb) {
    let (server, [_, alex, sam]) = serve(&db);
    let mut client = signed_in(&server, ALEX);
    db.sql(&format!("UPDATE accounts SET name = 'Alex Ng' WHERE id = '{alex}'"));
    let all = json!({"name": "Samantha", "email": "samantha@example.com", "groups": ["Night"], "disabled": true});
    assert_eq!(client.json("PATCH", &format!("/api/people/{sam}"), &all).status, 200);
    assert_eq!(client.json("PATCH", &format!("/api/people/{sam}"), &json!({"disabled": false})).status, 200);
    let mut own = signed_in(&server, "samantha@example.com");
    let page = own.get("/activity").body;
    for words in [
        "An administrator changed the name",
        "Alex Ng, before: Kim Lee",
        "An administrator changed the email address",
        "Alex Ng, before: sam@example.com",
        "An administrator changed the groups",
        "Alex Ng: Night",
        "An administrator disabled the account",
        "An administrator enabled the account again",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(own.get("/dashboard").body.contains("An administrator"));
    let page = client.get("/activity").body;
    for words in ["You changed somebody&#39;s name", "You disabled an account", "Samantha"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let dump = db.sql(&format!("SELECT detail FROM audit WHERE account_id = '{alex}' AND detail IS NOT NULL"));
    assert!(!dump.contains("Samantha") && !dump.contains("sam@example.com"), "{dump}");
    assert!(dump.lines().filter(|line| *line == format!("of {sam}")).count() >= 5, "{dump}");
}

async fn the_api_changes_all_fields_or_none(db: TestDb) {
    let (server, [_, _, sam]) = serve(&db);
    let mut client = signed_in(&server, KIM);
    let path = format!("/api/people/{sam}");
    let many: Vec<String> = (0..51).map(|n| format!("g{n}")).collect();
    let refused = [
        (json!({"name": "Other", "email": "nobody"}), 400),
        (json!({"name": ""}), 400),
        (json!({"name": "Other", "role": "king"}), 400),
        (json!({"name": "Other", "groups": ["-x"]}), 400),
        (json!({"groups": many}), 400),
        (json!({"groups": "Night"}), 400),
        (json!([]), 400),
        (json!({"name": "Other", "email": ALEX.to_uppercase()}), 409),
    ];
    for (body, status) in refused {
        let answer = client.json("PATCH", &path, &body);
        assert_eq!(answer.status, status, "{body}: {answer:?}");
    }
    assert_eq!(events(&db, &sam).len(), 1);
    let person = client.json("PATCH", &path, &json!({})).json();
    let keys: Vec<&str> = person.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["createdAt", "email", "groups", "id", "name", "role", "secondFactor", "sessions", "status"]);
    assert_eq!((&person["status"], &person["secondFactor"]), (&json!("active"), &json!(false)));
    signed_in(&server, SAM);
    assert!(client.get(&path).json()["lastActivity"].is_string());
    let case = client.json("PATCH", &path, &json!({"email": "SAM@example.com"}));
    assert_eq!((case.status, &case.json()["email"]), (200, &json!("SAM@example.com")));
}
