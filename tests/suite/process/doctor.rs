//! `doctor` prints one line per check with what is wrong and what to do, and changes nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Ended, KIM, ask, ask_with};
use crate::support::{Engine, Server, TestDb, add_user, on_both_engines};

on_both_engines! {
    a_running_instance_is_in_order_and_left_as_it_is,
    each_check_of_key_and_schema_says_what_is_wrong,
    the_first_broken_link_of_a_chain_is_named,
}

async fn a_running_instance_is_in_order_and_left_as_it_is(db: TestDb) {
    add_user(&db, KIM, "owner");
    let mut server = Server::start(&db, &[]);
    server.client().log_in(KIM);
    assert_in_order(&ask(&db, &["doctor"], ""));
    server.kill();
    let before = files(&db.folder);
    assert_in_order(&ask(&db, &["doctor"], ""));
    assert_eq!(files(&db.folder), before);
    assert_eq!(db.sql("SELECT count(*) FROM sessions"), "1");
    let server = Server::start(&db, &[]);
    assert_eq!(server.interrupt(), Some(0));
    let before = files(&db.folder);
    assert_in_order(&ask(&db, &["doctor"], ""));
    assert_eq!(files(&db.folder), before);
}

#[test]
fn missing_files_are_named_and_not_created() {
    let db = TestDb::new(Engine::Sqlite);
    let said = ask_with(&db, &[("DATABASE_URL", "sqlite://new/folder/it.sqlite3")], &["doctor"], "");
    assert_fails(&said, "database", &["/new/folder/it.sqlite3", "DATABASE_URL", "first start"]);
    assert_fails(&said, "key file", &[&db.key_file(), "SESSILE_KEY_FILE", "first start"]);
    assert_eq!(files(&db.folder), []);
}

/// A rotation replaces the file, but the server reads it only at its next start.
#[test]
fn keys_that_the_server_has_not_read_are_reported() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[]);
    server.client().log_in(KIM);
    assert_in_order(&ask(&db, &["doctor"], ""));
    let old = std::fs::read_to_string(db.key_file()).unwrap();
    std::fs::remove_file(db.key_file()).unwrap();
    db.keys();
    let new = std::fs::read_to_string(db.key_file()).unwrap();
    std::fs::write(db.key_file(), format!("{new}{old}")).unwrap();
    assert_fails(&ask(&db, &["doctor"], ""), "key file", &["restart the server"]);
    assert_eq!(server.interrupt(), Some(0));
    let said = ask(&db, &["doctor"], "");
    assert_in_order(&said);
    assert!(said.stdout.contains("until it is restarted"), "{said:?}");
    let _server = Server::start(&db, &[]);
    let said = ask(&db, &["doctor"], "");
    assert!(!said.stdout.contains("restarted"), "{said:?}");
    assert_in_order(&said);
}

#[test]
fn a_world_writable_folder_is_refused_for_the_database() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let open = |mode| std::fs::set_permissions(&db.folder, std::fs::Permissions::from_mode(mode)).unwrap();
    open(0o757);
    assert_fails(&ask(&db, &["doctor"], ""), "database", &["open to everybody", "chmod o-w"]);
    open(0o755);
    assert!(ask(&db, &["doctor"], "").stdout.contains("ok  database"));
}

async fn each_check_of_key_and_schema_says_what_is_wrong(db: TestDb) {
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[]);
    server.client().log_in(KIM);
    assert_eq!(server.interrupt(), Some(0));
    let key_file = db.key_file();
    let key = std::fs::read_to_string(&key_file).unwrap();

    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_fails(&ask(&db, &["doctor"], ""), "key file", &["mode 644", "chmod 600"]);
    std::fs::write(&key_file, "no key").unwrap();
    assert_fails(&ask(&db, &["doctor"], ""), "key file", &["SESSILE_KEY_FILE", "backup"]);
    std::fs::write(&key_file, format!("AAAAAAAA{}", &key[8..])).unwrap();
    assert_fails(&ask(&db, &["doctor"], ""), "key file", &["did not sign them"]);
    std::fs::remove_file(&key_file).unwrap();
    assert_fails(&ask(&db, &["doctor"], ""), "key file", &["missing", "restore the key file"]);
    assert!(!Path::new(&key_file).exists());
    std::fs::write(&key_file, &key).unwrap();
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();

    db.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('99999999000000')");
    assert_fails(&ask(&db, &["doctor"], ""), "schema", &["newer", "99999999000000"]);
    db.sql(
        "DELETE FROM __diesel_schema_migrations WHERE version IN \
            (SELECT version FROM __diesel_schema_migrations ORDER BY version DESC LIMIT 2)",
    );
    assert_fails(&ask(&db, &["doctor"], ""), "schema", &["1 step", "sessile migrate"]);
    assert_eq!(db.sql("SELECT count(*) FROM __diesel_schema_migrations WHERE version = '99999999000000'"), "0");
}

async fn the_first_broken_link_of_a_chain_is_named(db: TestDb) {
    const SAM: &str = "sam@example.com";
    add_user(&db, KIM, "owner");
    add_user(&db, SAM, "member");
    let server = Server::start(&db, &[]);
    server.client().log_in(KIM);
    server.client().log_in(SAM);
    let said = ask(&db, &["doctor"], "");
    assert_in_order(&said);
    assert!(
        said.stdout.contains("ok  audit trail: unchanged since they were recorded: 8 events of 2 accounts"),
        "{said:?}"
    );
    assert_eq!(server.interrupt(), Some(0));

    // The next program with the keys that records an event sets the mark again.
    db.sql("UPDATE instance SET trail_key_id = NULL, trail_mac = NULL");
    assert_fails(&ask(&db, &["doctor"], ""), "audit trail", &["not begun", "mark", "backup"]);
    assert!(ask(&db, &["session", "revoke", "--email", SAM], "").said().contains('1'));
    assert_in_order(&ask(&db, &["doctor"], ""));

    let kim = db.sql(&format!("SELECT id FROM accounts WHERE email = '{KIM}'"));
    let login = db.sql(&format!("SELECT id FROM audit WHERE account_id = '{kim}' AND kind = 'login.succeeded'"));
    db.sql(&format!("UPDATE audit SET detail = 'nothing happened' WHERE account_id = '{kim}' AND id = {login}"));
    assert_fails(&ask(&db, &["doctor"], ""), "audit trail", &[&kim, &format!("event {login}"), "backup"]);
    db.sql(&format!("DELETE FROM audit WHERE account_id <> '{kim}'"));
    assert_fails(&ask(&db, &["doctor"], ""), "audit trail", &["and 1 more account"]);
    std::fs::remove_file(db.key_file()).unwrap();
    assert_fails(&ask(&db, &["doctor"], ""), "audit trail", &["not checked", "SESSILE_KEY_FILE"]);
}

#[test]
fn settings_that_trust_too_much_or_show_passwords_fail() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let before = files(&db.folder);
    let public = ("SESSILE_PUBLIC_URL", "https://id.example.com");
    type Given<'a> = &'a [(&'a str, &'a str)];
    let bad: &[(Given<'_>, &str, &[&str])] = &[
        (&[public], "proxy trust", &["SESSILE_TRUSTED_PROXIES"]),
        (&[public, ("SESSILE_TRUSTED_PROXIES", "10.0.0.0/8,0.0.0.0/0")], "proxy trust", &["0.0.0.0/0"]),
        (&[public, ("SESSILE_TRUSTED_PROXIES", "::/0")], "proxy trust", &["::/0"]),
        (&[("SESSILE_LISTEN", "0.0.0.0:0")], "proxy trust", &["in the clear", "TLS"]),
        (&[("SESSILE_PUBLIC_URL", "http://id.example.com")], "proxy trust", &["in the clear", "id.example.com"]),
        (&[("SESSILE_IDLE_TTL", "soon")], "settings", &["SESSILE_IDLE_TTL"]),
        (&[("SESSILE_TLS_CERT", "no.pem"), ("SESSILE_TLS_KEY", "no.pem")], "tls", &["SESSILE_TLS_CERT"]),
    ];
    for (given, check, words) in bad {
        assert_fails(&ask_with(&db, given, &["doctor"], ""), check, words);
    }
    let good: &[Given<'_>] = &[
        &[public, ("SESSILE_TRUSTED_PROXIES", "127.0.0.1"), ("SESSILE_LISTEN", "0.0.0.0:0")],
        &[public, ("SESSILE_TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8")],
        &[("SESSILE_PUBLIC_URL", "http://127.0.0.1:8080")],
        &[("SESSILE_PUBLIC_URL", "http://[::1]:8080"), ("SESSILE_LISTEN", "[::1]:0")],
    ];
    for given in good {
        assert_in_order(&ask_with(&db, given, &["doctor"], ""));
    }
    assert_eq!(files(&db.folder), before);
}

#[test]
fn a_hanging_database_fails_in_time_with_one_line() {
    let db = TestDb::new(Engine::Sqlite);
    let nobody = [("DATABASE_URL", "postgres://kim:secret@127.0.0.1:1/it")];
    let said = ask_with(&db, &nobody, &["doctor"], "");
    assert_fails(&said, "database", &["DATABASE_URL"]);
    for check in ["schema", "audit trail", "clock", "durability"] {
        assert_fails(&said, check, &["make the database answer first"]);
    }
    assert!(!format!("{said:?}").contains("secret"), "{said:?}");
    std::fs::write(
        db.folder.join("test.sqlite3"),
        "this is no database, and long enough to be taken for one".repeat(99),
    )
    .unwrap();
    assert_fails(&ask(&db, &["doctor"], ""), "schema", &["DATABASE_URL", "restore your backup"]);
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_server_that_may_lose_acknowledged_commits_fails() {
    let db = TestDb::new(Engine::Postgres);
    add_user(&db, KIM, "owner");
    assert_in_order(&ask(&db, &["doctor"], ""));
    let name = db.url().rsplit('/').next().unwrap();
    for (setting, word) in [
        ("synchronous_commit = off", "synchronous_commit is off"),
        ("default_transaction_read_only = on", "default_transaction_read_only"),
    ] {
        db.sql(&format!("ALTER DATABASE {name} SET {setting}"));
        assert_fails(&ask(&db, &["doctor"], ""), "durability", &[word]);
        db.sql(&format!("SET default_transaction_read_only = off; ALTER DATABASE {name} RESET ALL"));
    }
}

fn assert_in_order(said: &Ended) {
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.stdout.lines().count() >= 7 && said.stdout.lines().all(|line| line.starts_with("ok  ")), "{said:?}");
}

/// Checks that the line of this check fails with these words, and that one line on stderr reports a failure.
fn assert_fails(said: &Ended, check: &str, words: &[&str]) {
    assert_eq!((said.code, said.stderr.lines().count()), (Some(1), 1), "{said:?}");
    let begins = format!("FAIL {check}: ");
    let line = said.stdout.lines().find(|line| line.starts_with(&begins)).unwrap_or_else(|| panic!("{begins}{said:?}"));
    assert!(words.iter().all(|word| line.contains(word)), "{words:?}: {line}");
    assert!(said.stdout.lines().all(|line| line.starts_with("ok  ") || line.starts_with("FAIL ")), "{said:?}");
}

/// All files below a folder with their contents, except sockets and the shared-memory index of SQLite.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        let has_content = path.is_file() && !name.ends_with("-shm");
        found.push((name, if has_content { std::fs::read(&path).unwrap() } else { Vec::new() }));
    }
    found.sort();
    found
}
