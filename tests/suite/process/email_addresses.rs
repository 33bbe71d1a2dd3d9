//! E-mail addresses have one canonical form, wherever they are typed.

use super::{ask, count};
use crate::support::{PASSWORD, Server, TestDb, add_user, on_both_engines, sessile};

on_both_engines! {
    differently_written_addresses_are_equal,
    look_alikes_and_invalid_addresses_are_refused,
    keys_of_older_versions_become_canonical,
    an_upgrade_that_would_merge_accounts_changes_nothing,
}

const TYPED: &str = "anna@müller.example";
const SENT: &str = "anna@xn--mller-kva.example";

async fn differently_written_addresses_are_equal(db: TestDb) {
    add_user(&db, TYPED, "owner");
    add_user(&db, "ju\u{308}rgen@example.com", "member");
    let server = Server::start(&db, &[]);
    for email in [TYPED, SENT, "ANNA@MÜLLER.example", "anna@mu\u{308}ller.example", " Anna@XN--MLLER-KVA.EXAMPLE "] {
        let answer = server.client().log_in(email);
        assert_eq!(answer.json()["user"]["email"], TYPED, "{email}");
    }
    assert_eq!(server.client().log_in("JÜRGEN@example.com").json()["user"]["email"], "jürgen@example.com");
    let mut by_form = server.client();
    let csrf = by_form.form_token("/login");
    let fields = [("csrf", csrf.as_str()), ("email", SENT), ("password", PASSWORD)];
    assert_eq!(by_form.form("/login", &fields).status, 303);
    // Wrong passwords are counted per account, however its address is written.
    for email in [TYPED, SENT].into_iter().cycle().take(10) {
        assert_eq!(server.client().try_log_in(email, "wrong password").status, 401);
    }
    assert_eq!(count(&db, "throttle_counts WHERE failures = 10 AND NOT of_address"), 1);
    let args = ["user", "add", "--email", SENT, "--role", "member", "--password-stdin"];
    ask(&db, &args, PASSWORD).refused(&["already"]);
    assert!(sessile(&db, &["session", "revoke", "--email", SENT], "").status.success());
    assert!(sessile(&db, &["user", "set-password", SENT, "--password-stdin"], PASSWORD).status.success());
}

async fn look_alikes_and_invalid_addresses_are_refused(db: TestDb) {
    add_user(&db, "kim@example.com", "owner");
    let odd = [
        "mailto:sam@example.com",
        "a@b@example.com",
        "kim\u{200B}@example.com",
        "kim@exam\u{AD}ple.com",
        "\u{202E}kim@example.com",
        "\"kim lee\"@example.com",
        "kim.@example.com",
        "kim@example.com.",
    ];
    for email in odd {
        let args = ["user", "add", "--email", email, "--role", "member", "--password-stdin"];
        ask(&db, &args, PASSWORD).refused(&["is not an e-mail address"]);
    }
    let server = Server::start(&db, &[("SESSILE_SIGNUP", "open")]);
    for email in odd {
        let mut client = server.client();
        let csrf = client.form_token("/signup");
        let fields = [("csrf", csrf.as_str()), ("email", email), ("name", "Sam"), ("password", "tide pool limpet 77")];
        let answer = client.form("/signup", &fields);
        assert!(answer.status == 422 && answer.body.contains("email-error"), "{email:?}: {answer:?}");
    }
    assert_eq!(count(&db, "accounts"), 1);
}

async fn keys_of_older_versions_become_canonical(db: TestDb) {
    as_an_older_version_left_them(&db, &[TYPED, "mailto:sam@example.com"]);
    ask(&db, &["migrate"], "").said();
    assert_eq!(db.sql("SELECT email_key FROM accounts ORDER BY email_key"), format!("{SENT}\nmailto:sam@example.com"));
    let server = Server::start(&db, &[]);
    server.client().log_in(SENT);
    server.client().log_in("MAILTO:sam@example.com");
}

async fn an_upgrade_that_would_merge_accounts_changes_nothing(db: TestDb) {
    as_an_older_version_left_them(&db, &[TYPED, SENT]);
    let before = db.sql("SELECT email_key FROM accounts ORDER BY email_key");
    ask(&db, &["migrate"], "").refused(&["müller.example", "xn--mller-kva.example"]);
    assert_eq!(db.sql("SELECT email_key FROM accounts ORDER BY email_key"), before);
    assert_eq!(count(&db, "__diesel_schema_migrations WHERE version = '20261128000010'"), 0);
    // Do what the message says.
    db.sql(&format!("UPDATE accounts SET email = 'other@example.com' WHERE email = '{SENT}'"));
    ask(&db, &["migrate"], "").said();
    assert_eq!(db.sql("SELECT email_key FROM accounts ORDER BY email_key"), format!("{SENT}\nother@example.com"));
}

/// Accounts in a schema from before keys were canonical. Their keys are only lower-cased.
fn as_an_older_version_left_them(db: &TestDb, emails: &[&str]) {
    for n in 0..emails.len() {
        add_user(db, &format!("account{n}@example.com"), "owner");
    }
    db.take_back("2026-11-28-000010_email_keys");
    for (n, email) in emails.iter().enumerate() {
        db.sql(&format!(
            "UPDATE accounts SET email = '{email}', email_key = '{email}' WHERE email LIKE 'account{n}@%'"
        ));
    }
}
