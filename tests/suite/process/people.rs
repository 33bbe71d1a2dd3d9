//! The commands on one account: `sessile user show`, `rename`, `set-email`, `set-role`, `groups`, `export`, `delete` and
//! `list --json`, beside a running server.

use serde_json::{Value, json};

use super::{KIM, ask, assert_ended, count};
use crate::support::{PASSWORD, Server, TestDb, add_user, on_both_engines};

const SAM: &str = "sam@example.com";

on_both_engines! {
    an_account_is_shown_and_changed,
    changes_that_cannot_be_made_are_refused,
    an_account_is_exported_and_deleted,
}

fn shown(db: &TestDb, email: &str) -> Value {
    serde_json::from_str(&ask(db, &["user", "show", email], "").said()).expect("JSON")
}

async fn an_account_is_shown_and_changed(db: TestDb) {
    add_user(&db, KIM, "owner");
    let sam = add_user(&db, SAM, "member");
    let server = Server::start(&db, &[]);
    let mut client = server.client();
    client.log_in(SAM);
    let person = shown(&db, "SAM@example.com");
    assert_eq!((&person["id"], &person["role"], &person["sessions"]), (&json!(sam), &json!("member"), &json!(1)));
    ask(&db, &["user", "rename", SAM, "Samantha"], "").said();
    ask(&db, &["user", "set-role", SAM, "admin"], "").said();
    ask(&db, &["user", "groups", SAM, "Till staff", "Night", "Night"], "").said();
    ask(&db, &["user", "set-email", SAM, "samantha@example.com"], "").said();
    let user = client.get("/api/session").json()["user"].clone();
    assert_eq!(
        (&user["name"], &user["role"], &user["email"]),
        (&json!("Samantha"), &json!("admin"), &json!("samantha@example.com"))
    );
    let person = shown(&db, "samantha@example.com");
    assert_eq!(person["groups"], json!(["Till staff", "Night"]));
    ask(&db, &["user", "groups", "samantha@example.com"], "").said();
    assert_eq!(shown(&db, "samantha@example.com")["groups"], json!([]));
    for (kind, times) in [("renamed", 1), ("role-changed", 1), ("groups-changed", 2), ("email-changed", 1)] {
        let events = format!("audit WHERE kind = 'account.{kind}' AND actor = 'operator' AND account_id = '{sam}'");
        assert_eq!(count(&db, &events), times, "{kind}");
    }
    let all: Value = serde_json::from_str(&ask(&db, &["user", "list", "--json"], "").said()).expect("JSON");
    let addresses: Vec<&str> = all.as_array().unwrap().iter().map(|one| one["email"].as_str().unwrap()).collect();
    assert!(addresses.len() == 2 && addresses.contains(&KIM) && addresses.contains(&"samantha@example.com"), "{all}");
}

async fn changes_that_cannot_be_made_are_refused(db: TestDb) {
    add_user(&db, KIM, "owner");
    add_user(&db, SAM, "member");
    ask(&db, &["user", "set-email", SAM, "KIM@example.com"], "").refused(&["already an account"]);
    ask(&db, &["user", "set-email", SAM, "nobody"], "").refused(&["nobody", "e-mail address"]);
    ask(&db, &["user", "rename", SAM, " "], "").refused(&["NAME is empty"]);
    ask(&db, &["user", "groups", SAM, "ä"], "").refused(&["name of a group"]);
    ask(&db, &["user", "set-role", KIM, "member"], "").refused(&[KIM, "last owner"]);
    ask(&db, &["user", "delete", KIM], "").refused(&[KIM, "last owner"]);
    for command in ["show", "delete", "export", "groups"] {
        ask(&db, &["user", command, "nobody@example.com"], "").refused(&["nobody@example.com"]);
    }
    assert_eq!(count(&db, "audit WHERE kind <> 'account.created'"), 0);
}

async fn an_account_is_exported_and_deleted(db: TestDb) {
    add_user(&db, KIM, "owner");
    let sam = add_user(&db, SAM, "member");
    let server = Server::start(&db, &[]);
    let mut client = server.client();
    client.log_in(SAM);
    let kept: Value = serde_json::from_str(&ask(&db, &["user", "export", SAM], "").said()).expect("JSON");
    assert_eq!((&kept["account"]["email"], kept["sessions"].as_array().map(Vec::len)), (&json!(SAM), Some(1)));
    ask(&db, &["user", "delete", SAM], "").said();
    assert_ended(&client.get("/api/session"), "unknown");
    assert_eq!(server.client().try_log_in(SAM, PASSWORD).problem(), "invalid-credentials");
    assert_eq!(count(&db, &format!("audit WHERE account_id = '{sam}'")), 1);
    assert_eq!(
        db.sql(&format!("SELECT kind || actor FROM audit WHERE account_id = '{sam}'")),
        "account.deletedoperator"
    );
    assert!(!ask(&db, &["user", "list"], "").said().contains("sam@"));
    ask(&db, &["doctor"], "").said();
    ask(&db, &["user", "add", "--email", SAM, "--password-stdin"], PASSWORD).said();
    assert_eq!(server.client().try_log_in(SAM, PASSWORD).status, 200);
}
