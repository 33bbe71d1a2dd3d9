//! Help, wrong usage, invalid settings and other refusals: exit codes, and one line that says what to do.

use super::{Ended, KIM, ask, ask_with, to_end};
use crate::support::{Engine, PASSWORD, Server, TestDb, add_user, command, on_both_engines};

/// The settings table of the contract.
const SETTINGS: [(&str, &str); 34] = [
    ("DATABASE_URL", "sqlite://data/sessile.sqlite3"),
    ("SESSILE_LISTEN_DATABASE_URL", "DATABASE_URL"),
    ("SESSILE_LISTEN", "127.0.0.1:8080"),
    ("SESSILE_PUBLIC_URL", "http://localhost:PORT"),
    ("SESSILE_TLS_CERT", "none"),
    ("SESSILE_TLS_KEY", "none"),
    ("SESSILE_TRUSTED_PROXIES", "none"),
    ("SESSILE_KEY_FILE", "data/session.key"),
    ("SESSILE_NAME", "Sessile"),
    ("SESSILE_LOGO", "none"),
    ("SESSILE_ACCENT", "none"),
    ("SESSILE_CONTACT", "none"),
    ("SESSILE_PRIVACY_URL", "none"),
    ("SESSILE_SIGNUP", "closed"),
    ("SESSILE_SECOND_FACTOR", "optional"),
    ("SESSILE_PASSWORD_MIN", "12"),
    ("SESSILE_SMTP_URL", "none"),
    ("SESSILE_MAIL_FROM", "none"),
    ("SESSILE_IDLE_TTL", "72h"),
    ("SESSILE_ABSOLUTE_TTL", "30d"),
    ("SESSILE_TOUCH_INTERVAL", "60s"),
    ("SESSILE_PRUNE_INTERVAL", "1h"),
    ("SESSILE_ADDRESS_TTL", "90d"),
    ("SESSILE_AUDIT_TTL", "400d"),
    ("SESSILE_POOL_MAX", "10"),
    ("SESSILE_POOL_TIMEOUT", "2s"),
    ("SESSILE_STATEMENT_TIMEOUT", "3s"),
    ("SESSILE_SESSIONS_PER_ACCOUNT", "20"),
    ("SESSILE_SESSION_CACHE", "on"),
    ("SESSILE_SESSION_CACHE_MAX", "64MiB"),
    ("SESSILE_DRAFTS_MAX", "8MiB"),
    ("SESSILE_WORKERS", "cores"),
    ("SESSILE_LOG", "info"),
    ("SESSILE_LOG_FORMAT", "text"),
];

#[test]
fn the_help_of_serve_names_every_setting_with_its_default() {
    let db = TestDb::new(Engine::Sqlite);
    let help = ask(&db, &["serve", "--help"], "").said();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (variable, default) in SETTINGS {
        let words = format!("[env: {variable}] [default: {default}]");
        assert!(help.contains(&words), "{words}: {help}");
        if let Some(flag) = variable.strip_prefix("SESSILE_") {
            let flag = format!("--{} ", flag.to_lowercase().replace('_', "-"));
            assert!(help.contains(&flag), "{flag}: {help}");
        }
    }
    assert_eq!(help.matches("[env: ").count(), SETTINGS.len(), "the help lists no other setting: {help}");
}

#[test]
fn wrong_usage_ends_with_2_and_changes_nothing() {
    let db = TestDb::new(Engine::Sqlite);
    let cases: [&[&str]; 17] = [
        &["nonsense"],
        &["--nonsense"],
        &["serve", "--nonsense"],
        &["serve", "more"],
        &["migrate", "more"],
        &["prune", "--all"],
        &["user"],
        &["user", "add"],
        &["user", "add", "--email", KIM],
        &["user", "add", "--password-stdin"],
        &["user", "add", "--email", KIM, "--role", "emperor", "--password-stdin"],
        &["user", "set-password", "--password-stdin"],
        &["user", "set-password", KIM],
        &["session"],
        &["session", "revoke"],
        &["session", "revoke", "aiq_1", "--all"],
        &["session", "revoke", "--email", KIM, "--all"],
    ];
    for args in cases {
        let ended = ask(&db, args, PASSWORD);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{args:?}: {ended:?}");
        assert!(!ended.stderr.is_empty(), "{args:?}");
    }
    assert_eq!(std::fs::read_dir(&db.folder).unwrap().count(), 0, "no file may be created");
}

#[test]
fn a_bad_setting_is_named_in_one_line_by_every_command() {
    let db = TestDb::new(Engine::Sqlite);
    let cases = [
        ("DATABASE_URL", "mysql://somewhere/else"),
        ("DATABASE_URL", "sqlite://:memory:"),
        ("DATABASE_URL", "postgres://user:geheim@host:port/x"),
        ("DATABASE_URL", "postgres://user:geheim@host/x?load_balance_hosts=random"),
        ("DATABASE_URL", "postgres://user:geheim@host/x?target_session_attrs=prefer-standby"),
        ("SESSILE_LISTEN_DATABASE_URL", "sqlite://x.sqlite3"),
        ("SESSILE_LISTEN", "8080"),
        ("SESSILE_PUBLIC_URL", "ftp://example.com"),
        ("SESSILE_PUBLIC_URL", "https://example.com/path"),
        ("SESSILE_TLS_CERT", "cert.pem"),
        ("SESSILE_TLS_KEY", "key.pem"),
        ("SESSILE_TRUSTED_PROXIES", "the proxy"),
        ("SESSILE_KEY_FILE", ""),
        ("SESSILE_SIGNUP", "maybe"),
        ("SESSILE_SECOND_FACTOR", "always"),
        ("SESSILE_PASSWORD_MIN", "7"),
        ("SESSILE_IDLE_TTL", "72"),
        ("SESSILE_IDLE_TTL", "31d"),
        ("SESSILE_ABSOLUTE_TTL", "1h"),
        ("SESSILE_TOUCH_INTERVAL", "72h"),
        ("SESSILE_TOUCH_INTERVAL", "0s"),
        ("SESSILE_PRUNE_INTERVAL", "often"),
        ("SESSILE_ADDRESS_TTL", "1.5d"),
        ("SESSILE_POOL_MAX", "0"),
        ("SESSILE_POOL_TIMEOUT", "0s"),
        ("SESSILE_STATEMENT_TIMEOUT", "-1s"),
        ("SESSILE_SESSIONS_PER_ACCOUNT", "-1"),
        ("SESSILE_SESSION_CACHE", "yes"),
        ("SESSILE_WORKERS", "0"),
        ("SESSILE_LOG", "loud"),
        ("SESSILE_LOG", "sessile=loud"),
        ("SESSILE_LOG_FORMAT", "xml"),
        ("SESSILE_NONSENSE", "1"),
        ("SESSILE_IDLE_TTL_", "1h"),
    ];
    for (variable, value) in cases {
        for args in [&["serve"][..], &["user", "list"], &["migrate"]] {
            let ended = ask_with(&db, &[(variable, value)], args, "");
            ended.refused(&[variable]);
            assert!(!ended.stderr.contains("geheim"), "{ended:?}");
        }
    }
    assert_eq!(std::fs::read_dir(&db.folder).unwrap().count(), 0, "no file may be created");
}

#[test]
fn variables_of_kubernetes_and_docker_are_ignored() {
    let db = TestDb::new(Engine::Sqlite);
    let set = [
        ("SESSILE_PORT", "tcp://10.0.0.11:8080"),
        ("SESSILE_PORT_8080_TCP", "tcp://10.0.0.11:8080"),
        ("SESSILE_PORT_8080_TCP_ADDR", "10.0.0.11"),
        ("SESSILE_SERVICE_HOST", "10.0.0.11"),
        ("SESSILE_SERVICE_PORT", "8080"),
        ("SESSILE_SERVICE_PORT_HTTP", "8080"),
        ("SESSILE_DB_PORT", "tcp://10.0.0.12:5432"),
        ("SESSILE_POSTGRES_SERVICE_HOST", "10.0.0.12"),
        ("SESSILE_NAME", "/web/sessile"),
        ("SESSILE_ENV_PATH", "/usr/bin"),
    ];
    assert_eq!(ask_with(&db, &set, &["migrate"], "").said(), "");
    assert_eq!(Server::start(&db, &set).interrupt(), Some(0));
    for (variable, value) in [("SESSILE_PORT", "8080"), ("SESSILE_LITSEN", "127.0.0.1:0"), ("SESSILE_PORTS_1_TCP", "1")]
    {
        ask_with(&db, &[(variable, value)], &["migrate"], "").refused(&[variable]);
    }
}

#[test]
fn a_log_filter_of_plain_words_is_refused() {
    let db = TestDb::new(Engine::Sqlite);
    ask_with(&db, &[("SESSILE_LOG", "loud and clear")], &["migrate"], "").refused(&["SESSILE_LOG"]);
}

#[test]
fn a_start_that_fails_names_the_setting_in_one_line() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let file = db.folder.join("file");
    std::fs::write(&file, "no folder").unwrap();
    let below = format!("{}/below", file.display());
    ask_with(&db, &[("DATABASE_URL", &format!("sqlite://{below}"))], &["serve"], "").refused(&["DATABASE_URL", &below]);
    ask_with(&db, &[("SESSILE_KEY_FILE", &below)], &["serve"], "").refused(&["SESSILE_KEY_FILE", &below]);
    let server = Server::start(&db, &[]);
    let taken = format!("127.0.0.1:{}", server.port);
    ask_with(&db, &[("SESSILE_LISTEN", &taken)], &["serve"], "").refused(&["SESSILE_LISTEN", &taken]);
    let tls = [("SESSILE_TLS_CERT", below.as_str()), ("SESSILE_TLS_KEY", below.as_str())];
    ask_with(&db, &tls, &["serve"], "").refused(&["SESSILE_TLS_CERT"]);
    let no_database = db.folder.join("no-database");
    std::fs::write(&no_database, "This is no database, and long enough not to be taken for an empty one. ".repeat(20))
        .unwrap();
    let url = format!("sqlite://{}", no_database.display());
    ask_with(&db, &[("DATABASE_URL", &url)], &["user", "list"], "").refused(&["DATABASE_URL"]);
    ask_with(&db, &[("DATABASE_URL", &url)], &["migrate"], "").refused(&["DATABASE_URL"]);
}

#[test]
fn the_manual_and_the_completions_need_no_settings() {
    let db = TestDb::new(Engine::Sqlite);
    let bad = [("SESSILE_IDLE_TTL", "soon")];
    assert!(ask_with(&db, &bad, &["man"], "").said().contains(".TH sessile 1"));
    for shell in ["bash", "zsh", "fish"] {
        let script = ask_with(&db, &bad, &["completions", shell], "").said();
        assert!(script.contains("subscribers") && script.contains("database-url"), "{shell}");
    }
    assert_eq!(std::fs::read_dir(&db.folder).unwrap().count(), 0, "no file may be created");
    let pages = db.folder.display().to_string();
    assert_eq!(ask_with(&db, &bad, &["man", "--out", &pages], "").said(), "");
    assert!(db.folder.join("sessile-user-add.1").exists());
    let nowhere = format!("{pages}/nowhere");
    ask_with(&db, &bad, &["man", "--out", &nowhere], "").refused(&["--out", &nowhere]);
}

/// Uses the port of a listener that was closed, so that nothing answers.
#[test]
fn an_unreachable_database_is_named_without_the_password() {
    let db = TestDb::new(Engine::Sqlite);
    let port = super::lasting_port();
    let url = format!("postgres://kim:geheim@127.0.0.1:{port}/sessile");
    let commands: [&[&str]; 4] = [&["migrate"], &["user", "list"], &["session", "revoke", "--all"], &["prune"]];
    for args in commands {
        let ended: Ended = ask_with(&db, &[("DATABASE_URL", &url)], args, "");
        ended.refused(&["DATABASE_URL"]);
        assert!(!ended.stderr.contains("geheim"), "{ended:?}");
    }
}

on_both_engines! {
    a_schema_newer_than_the_program_is_refused,
    a_failed_command_says_one_line_even_when_it_logs,
    a_command_that_only_reads_leaves_an_older_schema_as_it_is,
}

async fn a_schema_newer_than_the_program_is_refused(db: TestDb) {
    add_user(&db, KIM, "owner");
    db.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231235959')");
    for args in [&["serve"][..], &["migrate"], &["user", "list"], &["session", "revoke", "--all"], &["prune"]] {
        ask(&db, args, "").refused(&["99991231235959", "newer"]);
    }
    db.sql("DELETE FROM __diesel_schema_migrations WHERE version = '99991231235959'");
    assert!(ask(&db, &["user", "list"], "").said().contains(KIM));
}

async fn a_failed_command_says_one_line_even_when_it_logs(db: TestDb) {
    add_user(&db, KIM, "owner");
    let cases: [&[&str]; 3] = [
        &["session", "revoke", "nonsense"],
        &["user", "set-password", "nobody@example.com", "--password-stdin"],
        &["user", "add", "--email", KIM, "--password-stdin"],
    ];
    for args in cases {
        let mut program = command(&db, &[]);
        program.args(args);
        to_end(program, PASSWORD).refused(&[]);
    }
}

async fn a_command_that_only_reads_leaves_an_older_schema_as_it_is(db: TestDb) {
    add_user(&db, KIM, "owner");
    let steps = "SELECT version FROM __diesel_schema_migrations ORDER BY version";
    let last = db.sql("SELECT max(version) FROM __diesel_schema_migrations");
    db.sql(&format!("DELETE FROM __diesel_schema_migrations WHERE version = '{last}'"));
    let before = db.sql(steps);
    let out = db.folder.join("subscribers.json").display().to_string();
    let commands: [&[&str]; 4] = [
        &["user", "list"],
        &["session", "list"],
        &["session", "list", "--email", KIM, "--json"],
        &["subscribers", "export", "--out", &out],
    ];
    for args in commands {
        ask(&db, args, "").refused(&["DATABASE_URL", "older", "sessile migrate", "start the server first"]);
    }
    assert_eq!(db.sql(steps), before);
    assert!(!std::path::Path::new(&out).exists());
    db.sql(&format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{last}')"));
    for args in commands {
        ask(&db, args, "").said();
    }
}
