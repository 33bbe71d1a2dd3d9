//! An export holds everything that a dump of the database holds about the person, and no secret.

use serde_json::json;

use super::{ALEX, KIM, SAM, count, form, serve, sign_in_from, signed_in};
use crate::support::{Client, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    an_export_holds_what_a_dump_holds_about_the_person,
    an_export_is_an_event_for_both,
}

/// Columns that an export leaves out: hashes, and other forms of what it contains.
const LEFT_OUT: [&str; 13] = [
    "accounts.password_hash",
    "accounts.email_key",
    "accounts.search",
    "account_of_email.email_key",
    "sessions.key_nonce",
    // Parsed, so that the text differs.
    "sessions.data",
    "operations.result",
    // Without the nonce of a link.
    "mails.detail",
    "audit.key_id",
    "trails.key_id",
    "trail_checkpoints.key_id",
    "trail_anchors.account_id",
    // A history of clients, not of the person.
    "drafts.forked_at",
];

/// The columns with text, by table, and the column that names the account.
fn text_columns() -> Vec<(String, String, &'static str)> {
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/base/db/schema.rs")).unwrap();
    let mut columns: Vec<(String, String)> = Vec::new();
    let mut table = String::new();
    for line in source.lines().map(str::trim) {
        if let Some((name, _)) = line.strip_suffix(") {").and_then(|line| line.split_once(" (")) {
            name.clone_into(&mut table);
        } else if let Some((column, kind)) = line.split_once(" -> ")
            && kind.contains("Text")
        {
            columns.push((table.clone(), column.to_owned()));
        }
    }
    let key = |table: &str| match table {
        "accounts" => Some("id"),
        _ => columns.iter().any(|(of, column)| of == table && column == "account_id").then_some("account_id"),
    };
    columns.iter().filter_map(|(table, column)| Some((table.clone(), column.clone(), key(table)?))).collect()
}

fn live(client: &mut Client) {
    let put = json!({"device": {"installed": true, "appVersion": "7.7.7"}, "operations": [{
        "id": "0b9fd2a4-6a4e-4c39-9f57-0c7d5ad4a111", "kind": "draft.put", "draftId": "one", "text": "my secret draft",
        "baseVersion": 0}]});
    assert_eq!(client.json("POST", "/api/session/sync", &put).status, 200);
    assert_eq!(client.json("PATCH", "/api/session/data", &json!({"a": "what the app stored"})).status, 200);
    for name in ["Samantha Old", "Samantha", "Sam", "S", "Samantha 5", "Samantha 6", "Samantha 7"] {
        assert_eq!(form(client, "/account", &[("name", name)]).status, 303);
    }
}

/// Adds a hand-over with its link, and a mail that no server accepted.
fn send_links_and_mails(db: &TestDb, phone: &mut Client, id: &str) {
    assert_eq!(form(phone, "/account/phone", &[("act", "start")]).status, 200);
    let detail = r#"{"nonce": "the nonce of a link", "device": "Her old phone"}"#;
    db.sql(&format!(
        "INSERT INTO mails (account_id, id, kind, recipient, detail, created_at, due_at, attempts, failed_at, failure) \
         VALUES ('{id}', 'mail_1', 'new-device', 'old.sam@example.com', '{detail}', INSTANT(-9), INSTANT(-9), 1, \
         INSTANT(-5), '550 nobody here')"
    ));
}

async fn an_export_holds_what_a_dump_holds_about_the_person(db: TestDb) {
    let (server, [_, _, sam]) = serve(&db);
    let mut phone = server.client();
    sign_in_from(&mut phone, SAM, "Sams Handy", "198.51.100.77");
    live(&mut phone);
    let mut gone = server.client();
    sign_in_from(&mut gone, SAM, "Old phone", "198.51.100.78");
    assert_eq!(gone.json("DELETE", "/api/session", &json!(null)).status, 204);
    db.sql(&format!("UPDATE accounts SET groups = 'Night' WHERE id = '{sam}'"));
    send_links_and_mails(&db, &mut phone, &sam);
    let exported = phone.get("/api/account/export");
    assert_eq!(exported.status, 200, "{exported:?}");
    let kept = exported.json();
    let checked = text_columns()
        .into_iter()
        .filter(|(table, column, _)| !LEFT_OUT.contains(&format!("{table}.{column}").as_str()));
    let mut found = 0;
    for (table, column, key) in checked {
        let values = db.sql(&format!(
            "SELECT DISTINCT {column} FROM {table} WHERE {key} = '{sam}' AND {column} IS NOT NULL AND {column} <> ''"
        ));
        for value in values.lines() {
            found += 1;
            assert!(exported.body.contains(value), "{table}.{column}: {value} is not in {kept:#}");
        }
    }
    assert!(found > 40, "{found}");
    assert!(exported.body.contains("what the app stored") && exported.body.contains("7.7.7"));
    assert!(exported.body.contains("old.sam@example.com") && exported.body.contains("Her old phone"));
    assert!(!exported.body.contains("the nonce of a link"), "it gives the link, with the key file");
    let hash = db.sql(&format!("SELECT password_hash FROM accounts WHERE id = '{sam}'"));
    assert!(!exported.body.contains(&hash) && !exported.body.contains("argon2"));
}

async fn an_export_is_an_event_for_both(db: TestDb) {
    let (server, [kim, alex, sam]) = serve(&db);
    let mut client = signed_in(&server, ALEX);
    let kept = client.get(&format!("/api/people/{sam}/export")).json();
    assert_eq!(kept["account"]["email"], SAM);
    let file = form(&mut client, &format!("/people/{sam}/confirm"), &[("act", "export")]);
    assert_eq!((file.status, file.header("content-disposition")), (200, Some("attachment; filename=\"person.json\"")));
    assert_eq!(file.json()["account"]["id"], json!(sam));
    assert_eq!(count(&db, &format!("audit WHERE kind = 'account.exported' AND actor = '{alex}'")), 4);
    let mut own = signed_in(&server, SAM);
    let page = own.get("/activity").body;
    assert!(page.contains("An administrator downloaded the data") && page.contains("Kim Lee"), "{page}");
    let event = own.get("/api/activity").json()["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["kind"] == "account.exported")
        .cloned()
        .unwrap();
    assert_eq!((event["actor"].as_str(), event.get("ip")), (Some(alex.as_str()), None), "{event}");
    let file = form(&mut own, "/account/export", &[]);
    assert_eq!((file.status, file.header("content-disposition")), (200, Some("attachment; filename=\"my-data.json\"")));
    assert_eq!(signed_in(&server, KIM).get(&format!("/api/people/{kim}/export")).status, 200);
}
