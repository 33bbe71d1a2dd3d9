//! `sessile user …` next to a running server.

use super::{Ended, KIM, ask, assert_ended, count};
use crate::support::{Answer, PASSWORD, Server, TestDb, add_user, on_both_engines};

const ANOTHER_PASSWORD: &str = "another horse battery staple";

on_both_engines! {
    an_account_that_is_added_can_sign_in_at_once,
    an_owner_who_is_added_uses_up_the_setup_link,
    invalid_accounts_are_refused,
    a_new_password_ends_the_sessions_and_the_old_one_at_once,
    a_disabled_account_is_signed_out_and_cannot_sign_in,
    the_last_owner_who_may_sign_in_cannot_be_disabled,
    accounts_are_listed,
    a_password_is_all_of_stdin_less_one_final_newline,
}

async fn an_account_that_is_added_can_sign_in_at_once(db: TestDb) {
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[]);
    let said = add(&db, &["--email", "Sam@Example.com"], PASSWORD).said();
    let id = said.strip_suffix('\n').expect("one line");
    assert!(!id.is_empty() && !id.contains(char::is_whitespace), "prints only the id: {said:?}");
    let user = server.client().log_in("sam@example.com").json()["user"].clone();
    assert_eq!((&user["id"], &user["role"], &user["email"]), (&id.into(), &"member".into(), &"Sam@Example.com".into()));
    assert_eq!(count(&db, &format!("audit WHERE kind = 'account.created' AND account_id = '{id}'")), 1);
    assert_eq!(db.sql("SELECT DISTINCT actor FROM audit WHERE kind = 'account.created'"), "operator");
}

async fn an_owner_who_is_added_uses_up_the_setup_link(db: TestDb) {
    let server = Server::start(&db, &[]);
    let page = format!("/setup?token={}", server.setup_token());
    add(&db, &["--email", "sam@example.com"], PASSWORD).said();
    assert_eq!(server.client().get(&page).status, 200, "the link stays valid after adding a member");
    add(&db, &["--email", KIM, "--role", "owner"], PASSWORD).said();
    assert_eq!(server.client().get(&page).status, 403);
    assert_eq!(server.client().log_in(KIM).json()["user"]["role"], "owner");
}

async fn invalid_accounts_are_refused(db: TestDb) {
    add_user(&db, KIM, "owner");
    let _server = Server::start(&db, &[]);
    add(&db, &["--email", "KIM@Example.COM"], PASSWORD).refused(&["KIM@Example.COM"]);
    for odd in ["nobody", "", "a b@example.com", "a@"] {
        add(&db, &["--email", odd], PASSWORD).refused(&["email"]);
    }
    add(&db, &["--email", "sam@example.com"], "11 chars or").refused(&["password", "12"]);
    add(&db, &["--email", "sam@example.com"], "").refused(&["password"]);
    add(&db, &["--email", "sam@example.com"], &"x".repeat(129)).refused(&["password", "128"]);
    let control = "Kim\u{7}";
    add(&db, &["--email", "sam@example.com", "--name", control], PASSWORD).refused(&["name"]);
    assert_eq!(count(&db, "accounts"), 1);
    ask(&db, &["user", "set-password", "sam@example.com", "--password-stdin"], PASSWORD).refused(&["sam@example.com"]);
    ask(&db, &["user", "set-password", KIM, "--password-stdin"], "short").refused(&["password"]);
}

async fn a_new_password_ends_the_sessions_and_the_old_one_at_once(db: TestDb) {
    add_user(&db, KIM, "owner");
    add_user(&db, "sam@example.com", "member");
    let server = Server::start(&db, &[]);
    let (mut kim, mut phone, mut sam) = (server.client(), server.client(), server.client());
    kim.log_in(KIM);
    phone.log_in(KIM);
    sam.log_in("sam@example.com");
    let said = ask(&db, &["user", "set-password", "KIM@example.com", "--password-stdin"], ANOTHER_PASSWORD).said();
    assert!(said.contains('2'), "both sessions ended: {said}");
    assert_ended(&kim.get("/api/session"), "revoked");
    assert_ended(&phone.get("/api/session"), "revoked");
    assert_eq!(sam.get("/api/session").status, 200);
    assert_eq!(server.client().try_log_in(KIM, PASSWORD).problem(), "invalid-credentials");
    assert_eq!(server.client().try_log_in(KIM, ANOTHER_PASSWORD).status, 200);
    assert_eq!(count(&db, "audit WHERE kind = 'password.changed' AND actor = 'operator'"), 1);
    assert_eq!(count(&db, "audit WHERE kind = 'session.revoked' AND actor = 'operator'"), 2);
}

async fn a_disabled_account_is_signed_out_and_cannot_sign_in(db: TestDb) {
    add_user(&db, KIM, "owner");
    add_user(&db, "sam@example.com", "member");
    let server = Server::start(&db, &[]);
    let (mut kim, mut sam) = (server.client(), server.client());
    kim.log_in(KIM);
    sam.log_in("sam@example.com");
    ask(&db, &["user", "disable", "SAM@example.com"], "").said();
    assert_ended(&sam.get("/api/session"), "revoked");
    assert_eq!(server.client().try_log_in("sam@example.com", PASSWORD).problem(), "invalid-credentials");
    assert_eq!(kim.get("/api/session").status, 200);
    assert!(
        ask(&db, &["user", "list"], "").said().lines().any(|line| line.contains("sam@") && line.contains("disabled"))
    );
    // A second call changes nothing.
    ask(&db, &["user", "disable", "sam@example.com"], "").said();
    for _ in 0..2 {
        ask(&db, &["user", "enable", "sam@example.com"], "").said();
    }
    assert_ended(&sam.get("/api/session"), "revoked");
    sam.log_in("sam@example.com");
    for (kind, times) in [("account.disabled", 1), ("account.enabled", 1), ("session.revoked", 1)] {
        assert_eq!(count(&db, &format!("audit WHERE kind = '{kind}' AND actor = 'operator'")), times, "{kind}");
    }
}

async fn the_last_owner_who_may_sign_in_cannot_be_disabled(db: TestDb) {
    add_user(&db, KIM, "owner");
    add_user(&db, "sam@example.com", "owner");
    ask(&db, &["user", "disable", "sam@example.com"], "").said();
    ask(&db, &["user", "disable", KIM], "").refused(&[KIM, "last owner"]);
    ask(&db, &["user", "enable", "sam@example.com"], "").said();
    ask(&db, &["user", "disable", KIM], "").said();
    ask(&db, &["user", "disable", "nobody@example.com"], "").refused(&["nobody@example.com"]);
}

async fn accounts_are_listed(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let sam = add_user(&db, "sam@example.com", "admin");
    let _server = Server::start(&db, &[]);
    let said = ask(&db, &["user", "list"], "").said();
    assert_eq!(said.lines().count(), 2, "{said}");
    for words in [[&kim, KIM, "owner", "enabled"], [&sam, "sam@example.com", "admin", "enabled"]] {
        assert!(said.lines().any(|line| words.iter().all(|word| line.contains(word))), "{words:?}: {said}");
    }
}

async fn a_password_is_all_of_stdin_less_one_final_newline(db: TestDb) {
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[]);
    let cases = [
        ("a battery of horses\n", "a battery of horses"),
        ("a battery of horses\n\n", "a battery of horses\n"),
        ("a battery\nof horses", "a battery\nof horses"),
        (" spaces around it \n", " spaces around it "),
        ("pässwörter 🐎🐎🐎\n", "pässwörter 🐎🐎🐎"),
    ];
    for (typed, meant) in cases {
        ask(&db, &["user", "set-password", KIM, "--password-stdin"], typed).said();
        let log_in = |password: &str| -> Answer { server.client().try_log_in(KIM, password) };
        assert_eq!(log_in(meant).status, 200, "{typed:?}");
        let trimmed = meant.trim();
        assert!(trimmed == meant || log_in(trimmed).status == 401, "{typed:?}");
    }
}

fn add(db: &TestDb, more: &[&str], password: &str) -> Ended {
    let args: Vec<&str> = ["user", "add", "--password-stdin"].iter().chain(more).copied().collect();
    ask(db, &args, password)
}
