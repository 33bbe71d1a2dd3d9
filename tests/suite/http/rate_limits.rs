//! Rate limits, and which of many repeated events are recorded.

use serde_json::{Value, json};

use crate::{
    centre::{KIM, serve, signed_in},
    support::{Answer, Client, PASSWORD, TestDb, on_both_engines_and_citus, sessile},
};

on_both_engines_and_citus! {
    repeated_events_are_summed_up,
    the_next_event_of_its_kind_sums_up_too,
    too_many_changes_are_refused_and_forms_keep_the_input,
    too_many_operations_are_refused_as_a_whole,
    password_changes_are_limited,
    many_confirmations_are_few_events,
}

fn own(client: &mut Client, name: &str) -> String {
    client.get("/api/session").json()["session"][name].as_str().expect("a text").to_owned()
}

fn renames(client: &mut Client, many: usize) -> Answer {
    let device = own(client, "deviceId");
    let rename = |n| {
        let id = sessile::records::draft::book::random_uuid().expect("an id");
        json!({"id": id, "kind": "device.rename", "deviceId": device, "name": format!("Name {n}")})
    };
    let operations: Vec<Value> = (0..many).map(rename).collect();
    client.json("POST", "/api/session/sync", &json!({"operations": operations}))
}

fn recorded(db: &TestDb, kind: &str) -> String {
    db.sql(&format!("SELECT count(*) FROM audit WHERE kind = '{kind}'"))
}

fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, 429, "{answer:?}");
    let wait: u64 = answer.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=3600).contains(&wait), "{wait}");
}

async fn repeated_events_are_summed_up(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let told = renames(&mut phone, 200).json();
    assert!(told["results"].as_array().expect("a list").iter().all(|one| one["status"] == "applied"));
    assert_eq!(own(&mut phone, "deviceName"), "Name 199");
    assert_eq!(recorded(&db, "device.renamed"), "5");
    // The sweep records nothing until the hour is over.
    assert!(sessile(&db, &["prune"], "").status.success());
    assert_eq!(recorded(&db, "device.renamed"), "5");
    db.sql("UPDATE audit_repeats SET began_at = INSTANT(-3601)");
    for _ in 0..2 {
        assert!(sessile(&db, &["prune"], "").status.success());
    }
    assert_eq!(
        (recorded(&db, "device.renamed"), db.sql("SELECT count(*) FROM audit_repeats")),
        ("6".into(), "0".into())
    );
    let last = "SELECT said FROM (SELECT detail || '|' || device_name AS said FROM audit WHERE kind = 'device.renamed' \
                ORDER BY id DESC LIMIT 1) AS last";
    let last = db.sql(last);
    assert!(last.starts_with("195 more until ") && last.ends_with("; the last one: was Name 198|Name 199"), "{last}");
    let doctor = sessile(&db, &["doctor"], "");
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("ok  audit trail: "), "{doctor:?}");
}

async fn the_next_event_of_its_kind_sums_up_too(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    assert_eq!(renames(&mut phone, 7).status, 200);
    db.sql("UPDATE audit_repeats SET began_at = INSTANT(-3601)");
    assert_eq!(renames(&mut phone, 1).status, 200);
    let details =
        db.sql("SELECT detail FROM (SELECT detail FROM audit WHERE kind = 'device.renamed' ORDER BY id) AS renamed");
    let details: Vec<&str> = details.lines().collect();
    assert_eq!(details.len(), 7, "{details:?}");
    assert!(details[5].starts_with("2 more until ") && details[6] == "was Name 6", "{details:?}");
    // A clock that is set back does not delay events any longer.
    db.sql("UPDATE audit_repeats SET began_at = INSTANT(7200), recorded = 5");
    assert_eq!(renames(&mut phone, 2).status, 200);
    // Only one of the two is an event: the first is the name that the device already has.
    assert_eq!(recorded(&db, "device.renamed"), "8");
}

async fn too_many_changes_are_refused_and_forms_keep_the_input(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    assert_eq!(renames(&mut phone, 200).status, 200, "the burst allows a call with 200 operations");
    let refused = renames(&mut phone, 200);
    assert_refused(&refused);
    assert_eq!(refused.problem(), "too-many-attempts");
    assert_eq!(db.sql("SELECT count(*) FROM operations"), "200", "no operation was applied");
    while renames(&mut phone, 20).status == 200 {}
    while renames(&mut phone, 1).status == 200 {}
    let device = own(&mut phone, "deviceId");
    let patch = |n: u32| json!({"name": format!("Another {n}")});
    let patched = (0..20).map(|n| phone.json("PATCH", &format!("/api/devices/{device}"), &patch(n)));
    assert_refused(&patched.into_iter().find(|answer| answer.status != 200).expect("a refusal"));
    let csrf = phone.form_token("/account");
    // One change per second is allowed, so one may succeed on a slow machine.
    let refused_form = |phone: &mut Client, path: &str, more: &[(&str, &str)]| {
        (0..20).find_map(|n| {
            let name = format!("Typed here {n}");
            let fields = [("csrf", csrf.as_str()), ("name", &name)];
            let fields: Vec<_> = fields.into_iter().chain(more.iter().copied()).collect();
            let answer = phone.form(path, &fields);
            (answer.status != 303).then_some((answer, name))
        })
    };
    let forms: [(&str, &[(&str, &str)]); 2] = [("/devices", &[("device", &device)]), ("/account", &[])];
    for (path, more) in forms {
        let (answer, name) = refused_form(&mut phone, path, more).expect("a refusal");
        assert_refused(&answer);
        let typed = format!("value=\"{name}\"");
        assert!(answer.body.contains(&typed) && answer.body.contains("in a short time"), "{}", answer.body);
    }
    // Another account is not limited.
    crate::support::add_user(&db, "sam@example.com", "member");
    assert_eq!(renames(&mut signed_in(&server, "sam@example.com", "Desk"), 1).status, 200);
}

async fn too_many_operations_are_refused_as_a_whole(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let nothing = json!({"operations": vec![json!({}); 200]});
    let refused =
        (0..40).map(|_| phone.json("POST", "/api/session/sync", &nothing)).find(|answer| answer.status != 200);
    let refused = refused.expect("an end");
    assert_refused(&refused);
    let id = sessile::records::draft::book::random_uuid().expect("an id");
    let put = json!({"id": id, "kind": "draft.put", "draftId": "one", "text": "kept on the device", "baseVersion": 0});
    while phone.json("POST", "/api/session/sync", &json!({"operations": [{}]})).status == 200 {}
    assert_refused(&phone.json("POST", "/api/session/sync", &json!({"operations": [put]})));
    let csrf = phone.form_token("/account");
    let fields = [("csrf", csrf.as_str()), ("operation", &id), ("draft", "one"), ("base", "0"), ("text", "typed here")];
    let answer = phone.form("/drafts", &fields);
    assert_refused(&answer);
    assert!(
        answer.body.contains("typed here</textarea>") && answer.body.contains("Nothing is lost"),
        "{}",
        answer.body
    );
    // A sync that only reads still works.
    assert_eq!(phone.json("POST", "/api/session/sync", &json!({})).status, 200);
    assert_eq!(db.sql("SELECT count(*) FROM drafts"), "0");
    // An account over its limit can still end sessions.
    assert_eq!(phone.json("POST", "/api/sessions/revoke-others", &json!({})).status, 200);
    let (id, session) = (sessile::records::draft::book::random_uuid().expect("an id"), own(&mut phone, "id"));
    let logout = json!({"operations": [{"id": id, "kind": "session.logout", "sessionId": session}]});
    assert_eq!(phone.json("POST", "/api/session/sync", &logout).status, 200);
    assert_eq!(phone.get("/api/session").status, 401);
}

async fn password_changes_are_limited(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    let csrf = phone.form_token("/account");
    let change = |client: &mut Client, new: &str| {
        client.form("/account", &[("csrf", &csrf), ("current_password", PASSWORD), ("password", new)])
    };
    let same = change(&mut phone, PASSWORD);
    assert!(same.status == 422 && same.body.contains("Choose a different password"), "{same:?}");
    let answers: Vec<Answer> = (0..40).map(|_| change(&mut phone, "password1234")).collect();
    let refused = answers.iter().position(|answer| answer.status == 429).expect("a refusal");
    assert!((30..33).contains(&refused), "{refused}");
    assert!(answers[..refused].iter().all(|answer| answer.status == 422 && answer.body.contains("many people use")));
    assert_refused(&answers[refused]);
    assert!(answers[refused].body.contains("in a short time"), "{}", answers[refused].body);
    assert_eq!((recorded(&db, "password.changed"), recorded(&db, "session.regenerated")), ("0".into(), "0".into()));
    assert_eq!(phone.try_log_in(KIM, PASSWORD).status, 200, "signing in has its own limit");
}

async fn many_confirmations_are_few_events(db: TestDb) {
    let server = serve(&db);
    let mut phone = signed_in(&server, KIM, "Phone");
    for _ in 0..8 {
        let csrf = phone.form_token("/confirm");
        assert_eq!(phone.form("/confirm", &[("csrf", &csrf), ("password", PASSWORD)]).status, 303);
    }
    assert_eq!((recorded(&db, "login.confirmed"), recorded(&db, "session.regenerated")), ("5".into(), "5".into()));
    // The events of a sign-in are all recorded.
    assert_eq!(phone.try_log_in(KIM, PASSWORD).status, 200);
    assert_eq!(recorded(&db, "session.regenerated"), "6");
    db.sql("UPDATE audit_repeats SET began_at = INSTANT(-3601)");
    for _ in 0..2 {
        assert!(sessile(&db, &["prune"], "").status.success());
    }
    assert_eq!((recorded(&db, "login.confirmed"), recorded(&db, "session.regenerated")), ("6".into(), "7".into()));
}
