//! A deleted account leaves nothing personal behind, and a trail that still verifies.

use serde_json::json;
use sessile::{
    actions::person::leave,
    base::db::{Conn, Db},
    records::audit::{
        self, Event, Kind,
        verify::{Verified, Wrong, verify},
    },
};

use super::{ALEX, KIM, SAM, count, events, form, leads_to, serve, sign_in_from, signed_in};
use crate::{
    gate::db_of_operator,
    support::{App, PASSWORD, TestDb, eventually, on_both_engines_and_citus},
};

on_both_engines_and_citus! {
    nothing_personal_is_left_of_a_deleted_account,
    people_who_leave_have_two_weeks_to_change_their_mind,
    a_large_account_is_deleted_in_small_transactions,
    an_interrupted_deletion_is_finished_by_the_sweep,
    a_trail_that_was_closed_by_hand_is_found,
    a_sign_in_that_fails_after_the_deletion_adds_no_event,
}

/// What only the deleted person has.
const PERSONAL: [&str; 10] = [
    "sam@example.com",
    "sam.smith",
    "Samantha",
    "Sams Handy",
    "my secret draft",
    "what the app stored",
    "198.51.100.77",
    "198.51.100.78",
    "Night watch",
    "old.sam@example.com",
];

/// Fills every table with something of the person.
async fn live(db: &TestDb, server: &App, id: &str) {
    let mut phone = server.client();
    sign_in_from(&mut phone, SAM, "Sams Handy", "198.51.100.77");
    sign_in_from(&mut phone, SAM, "Sams Handy", "198.51.100.77");
    let put = json!({"device": {"installed": true}, "operations": [{"id": "0b9fd2a4-6a4e-4c39-9f57-0c7d5ad4a111",
        "kind": "draft.put", "draftId": "one", "text": "my secret draft", "baseVersion": 0}]});
    assert_eq!(phone.json("POST", "/api/session/sync", &put).status, 200);
    assert_eq!(phone.json("PATCH", "/api/session/data", &json!({"a": "what the app stored"})).status, 200);
    for _ in 0..8 {
        leads_to(&form(&mut phone, "/account", &[("name", "Samantha Old")]), "/account?done=name");
        leads_to(&form(&mut phone, "/account", &[("name", "Samantha")]), "/account?done=name");
    }
    assert_eq!(server.client().try_log_in(SAM, "not the password 1").status, 401);
    // Over the session of somebody else, in whose trail the address stays.
    let mut shared = server.client();
    sign_in_from(&mut shared, KIM, "Till", "192.0.2.1");
    sign_in_from(&mut shared, SAM, "Sams Handy", "198.51.100.78");
    assert_eq!(count(db, &format!("audit WHERE kind = 'session.replaced' AND actor = '{id}' AND ip IS NOT NULL")), 1);
    let mut kim = signed_in(server, KIM);
    let patch = json!({"email": "sam.smith@example.com", "groups": ["Night watch"]});
    assert_eq!(kim.json("PATCH", &format!("/api/people/{id}"), &patch).status, 200);
    let shop = [("name", "Shop"), ("url", "https://shop.example.com"), ("who", "some")];
    let added =
        form(&mut kim, "/apps", &[&shop[..], &[("owners", "yes"), ("people", "sam.smith@example.com")]].concat());
    assert_eq!(added.status, 200, "{added:?}");
    ask_for_help(db, server, id).await;
    let all = db.dump();
    for personal in PERSONAL {
        assert!(all.contains(personal), "{personal} was never stored: {all}");
    }
}

/// Adds a hand-over, a request for help, a link for a new password, and a mail that no server accepted.
async fn ask_for_help(db: &TestDb, server: &App, id: &str) {
    let mut phone = signed_in(server, "sam.smith@example.com");
    assert_eq!(form(&mut phone, "/account/phone", &[("act", "start")]).status, 200);
    let mut visitor = server.client();
    let csrf = visitor.form_token("/forgot");
    let asked = visitor.form("/forgot", &[("csrf", &csrf), ("email", "sam.smith@example.com")]);
    leads_to(&asked, "/forgot?done=asked");
    eventually("a request", async || count(db, "help_requests") == 1).await;
    let made = signed_in(server, KIM).json("POST", &format!("/api/people/{id}/password-link"), &json!({}));
    assert_eq!(made.status, 201, "{made:?}");
    db.sql(&format!(
        "INSERT INTO mails (account_id, id, kind, recipient, detail, created_at, due_at, attempts, failed_at, failure) \
         VALUES ('{id}', 'mail_1', 'new-device', 'old.sam@example.com', '{{\"device\":\"Sams Handy\"}}', INSTANT(-9), \
         INSTANT(-9), 1, INSTANT(-5), '550 there is no old.sam@example.com')"
    ));
    for table in ["links", "hand_overs", "help_requests", "mails", "account_of_link"] {
        assert!(count(db, &format!("{table} WHERE account_id = '{id}'")) > 0, "{table}");
    }
}

async fn look(db: &TestDb) -> Verified {
    let (node, keys) = (db_of_operator(db), db.keys().trail().clone());
    node.read(async move |conn: &mut Conn<'_>| verify(conn, &keys).await).await.unwrap()
}

async fn nothing_personal_is_left_of_a_deleted_account(db: TestDb) {
    let (server, [kim, _, sam]) = serve(&db);
    live(&db, &server, &sam).await;
    let mut phone = server.client();
    phone.log_in("sam.smith@example.com");
    let mut alex = signed_in(&server, ALEX);
    let answer = alex.json("DELETE", &format!("/api/people/{sam}"), &json!(null));
    assert_eq!(answer.status, 204, "{answer:?}");
    let all = db.dump();
    for personal in PERSONAL {
        assert!(!all.contains(personal), "{personal} is left: {all}");
    }
    assert_eq!(phone.get("/api/session").status, 401);
    for address in [SAM, "sam.smith@example.com"] {
        assert_eq!(server.client().try_log_in(address, PASSWORD).status, 401);
    }
    let by = db.sql(&format!("SELECT id FROM accounts WHERE email = '{ALEX}'"));
    assert_eq!(events(&db, &sam), [("account.deleted".to_owned(), by.clone())]);
    assert_eq!(events(&db, &by).last(), Some(&("account.deleted".to_owned(), by.clone())));
    for table in [
        "sessions",
        "devices",
        "drafts",
        "operations",
        "audit_repeats",
        "app_grants",
        "app_codes",
        "former_keys",
        "links",
        "hand_overs",
        "help_requests",
        "mails",
    ] {
        assert_eq!(count(&db, &format!("{table} WHERE account_id = '{sam}'")), 0, "{table}");
    }
    for table in ["account_of_email", "account_of_device_secret", "account_of_session", "account_of_link"] {
        assert_eq!(count(&db, &format!("{table} WHERE account_id = '{sam}'")), 0, "{table}");
    }
    assert_eq!(db.sql("SELECT admits FROM apps"), "role:owner");
    let verified = look(&db).await;
    assert!(verified.is_whole() && verified.findings.is_empty(), "{verified:?}");
    // The address is free again.
    let mut owner = signed_in(&server, KIM);
    let again = owner.json("PATCH", &format!("/api/people/{kim}"), &json!({"email": "sam.smith@example.com"}));
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(owner.get(&format!("/api/people/{sam}")).status, 404);
    assert_eq!(owner.get("/api/people").json()["people"].as_array().unwrap().len(), 2);
    let page = alex.get("/activity").body;
    assert!(page.contains("You deleted an account") && page.contains("Somebody whose account is deleted"), "{page}");
}

async fn people_who_leave_have_two_weeks_to_change_their_mind(db: TestDb) {
    let (server, [_, _, sam]) = serve(&db);
    let (mut desk, mut phone) = (signed_in(&server, SAM), signed_in(&server, SAM));
    assert!(desk.get("/account").body.contains("href=\"/account/delete\""));
    assert!(desk.get("/account/delete").body.contains("After 14 days"));
    let left = form(&mut desk, "/account/delete", &[]);
    assert_eq!(left.status, 303, "{left:?}");
    assert!(left.header("location").unwrap().starts_with("/login?done=leaving"), "{left:?}");
    assert!(desk.get("/login?done=leaving").body.contains("will be deleted in 14 days"));
    assert_eq!(phone.get("/api/session").status, 401);
    let mut kim = signed_in(&server, KIM);
    assert!(kim.get(&format!("/api/people/{sam}")).json()["deletesAt"].is_string());
    assert!(kim.get(&format!("/people/{sam}")).body.contains("asked for the deletion"));
    assert_eq!(server.client().try_log_in(SAM, "not the password 1").status, 401);
    assert_eq!(count(&db, "accounts WHERE deletion_asked_at IS NOT NULL"), 1, "a wrong password changes nothing");

    let back = signed_in(&server, SAM);
    assert_eq!(count(&db, "accounts WHERE deletion_asked_at IS NOT NULL"), 0);
    let kinds: Vec<String> = events(&db, &sam).into_iter().map(|(kind, _)| kind).collect();
    for kind in ["account.deletion-asked", "account.kept"] {
        assert!(kinds.iter().any(|one| one == kind), "{kind}: {kinds:?}");
    }
    let mut back = back;
    assert_eq!(back.json("DELETE", "/api/account", &json!(null)).status, 204);
    let own = db_of_operator(&db);
    db.sql("UPDATE accounts SET deletion_asked_at = INSTANT(-1209000) WHERE deletion_asked_at IS NOT NULL");
    assert_eq!(leave::sweep(&own).await.unwrap(), 0, "a few minutes are left");
    db.sql("UPDATE accounts SET deletion_asked_at = INSTANT(-1210000) WHERE deletion_asked_at IS NOT NULL");
    assert_eq!(
        server.client().try_log_in(SAM, PASSWORD).status,
        401,
        "the time is over, and the sweep has not run yet"
    );
    assert_eq!(sweep(&own).await, 1);
    assert_eq!(events(&db, &sam), [("account.deleted".to_owned(), sam.clone())]);
    assert_eq!(sweep(&own).await, 0);
    assert!(look(&db).await.is_whole());
}

/// Gives the account this many drafts and events, which are more than one transaction deletes.
async fn fill(db: &TestDb, id: &str, many: usize) {
    let (own, account_id) = (db_of_operator(db), id.to_owned());
    for _ in 0..many / 500 {
        let event = Event::of(Kind::AccountGroupsChanged, &account_id).by_manager("operator").detail("Night watch");
        let some = vec![event; 500];
        own.write(async move |conn: &mut Conn<'_>| audit::record(conn, &some).await).await.unwrap();
    }
    db.sql(&format!(
        "INSERT INTO drafts (account_id, id, text, version, updated_at, updated_on, revision) WITH RECURSIVE n(i) AS \
         (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many}) SELECT '{id}', 'd' || i, 'my secret draft', 1, \
         INSTANT(-5), 'Sams Handy', i FROM n"
    ));
}

async fn a_large_account_is_deleted_in_small_transactions(db: TestDb) {
    let (server, [_, alex, sam]) = serve(&db);
    let mut phone = signed_in(&server, SAM);
    fill(&db, &sam, 2_500).await;
    let mut client = signed_in(&server, ALEX);
    assert_eq!(client.json("DELETE", &format!("/api/people/{sam}"), &json!(null)).status, 204);
    assert_eq!(phone.get("/api/session").status, 401);
    assert!(!db.dump().contains("my secret draft"));
    assert_eq!(events(&db, &sam), [("account.deleted".to_owned(), alex)]);
    assert_eq!(
        count(&db, &format!("accounts WHERE id = '{sam}' AND deleted_at IS NOT NULL AND deletion_by IS NULL")),
        1
    );
    let verified = look(&db).await;
    assert!(verified.is_whole() && verified.findings.is_empty(), "{verified:?}");
}

async fn an_interrupted_deletion_is_finished_by_the_sweep(db: TestDb) {
    let (server, [_, alex, sam]) = serve(&db);
    signed_in(&server, SAM);
    fill(&db, &sam, 1_500).await;
    // As the first transaction leaves the account.
    db.sql(&format!(
        "UPDATE accounts SET disabled_at = INSTANT(0), deletion_asked_at = INSTANT(-9000000), deletion_by = '{alex}' \
         WHERE id = '{sam}'"
    ));
    assert_eq!(server.client().try_log_in(SAM, PASSWORD).status, 401);
    assert_eq!(sweep(&db_of_operator(&db)).await, 1);
    assert!(!db.dump().contains("my secret draft"));
    assert_eq!(events(&db, &sam), [("account.deleted".to_owned(), alex)]);
    assert!(look(&db).await.is_whole());
}

async fn sweep(db: &Db) -> usize {
    leave::sweep(db).await.unwrap()
}

async fn a_trail_that_was_closed_by_hand_is_found(db: TestDb) {
    let (server, [_, _, sam]) = serve(&db);
    signed_in(&server, SAM);
    for (table, column, key) in [("trails", "closed_at", "account_id"), ("accounts", "deleted_at", "id")] {
        db.sql(&format!("UPDATE {table} SET {column} = INSTANT(-1) WHERE {key} = '{sam}'"));
        let verified = look(&db).await;
        assert_eq!(verified.broken, 1, "{table}: {verified:?}");
        assert_eq!(verified.findings[0].wrong, Wrong::Deletion, "{table}");
    }
}

async fn a_sign_in_that_fails_after_the_deletion_adds_no_event(db: TestDb) {
    let (server, [_, _, sam]) = serve(&db);
    let mut kim = signed_in(&server, KIM);
    assert_eq!(kim.json("DELETE", &format!("/api/people/{sam}"), &json!(null)).status, 204);
    let (own, id) = (db_of_operator(&db), sam.clone());
    let late = Event::of(Kind::LoginFailed, &id).by("visitor").ip(Some("198.51.100.77"));
    own.write(async move |conn: &mut Conn<'_>| audit::record(conn, &[late]).await).await.unwrap();
    assert_eq!(count(&db, &format!("audit WHERE account_id = '{sam}'")), 1);
    assert!(look(&db).await.is_whole());
}
