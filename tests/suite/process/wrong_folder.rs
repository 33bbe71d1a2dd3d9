//! Commands in a folder or at an address without a Sessile instance: they say so and create nothing.

use std::process::Command;

use super::{KIM, ask, ask_with, to_end};
use crate::support::{Engine, PASSWORD, Server, TestDb, add_user, command, eventually, on_both_engines};

/// Every command, except those that create a database.
const COMMANDS: &[&[&str]] = &[
    &["prune"],
    &["user", "list"],
    &["user", "add", "--email", KIM, "--password-stdin"],
    &["user", "add", "--email", KIM, "--role", "admin", "--password-stdin"],
    &["user", "disable", KIM],
    &["user", "enable", KIM],
    &["user", "set-password", KIM, "--password-stdin"],
    &["session", "list"],
    &["session", "revoke", "--all"],
    &["session", "revoke", "--email", KIM],
    &["session", "revoke", "aiq_1_x"],
    &["subscribers", "export"],
];

#[test]
fn a_command_in_a_wrong_folder_creates_nothing() {
    let db = TestDb::new(Engine::Sqlite);
    for args in COMMANDS {
        let mut program = Command::new(env!("CARGO_BIN_EXE_sessile"));
        program.env_clear().current_dir(&db.folder).args(*args);
        let place = db.folder.join("data/sessile.sqlite3").display().to_string();
        to_end(program, PASSWORD).refused(&[&place, "DATABASE_URL", "--database-url"]);
    }
    assert_eq!(std::fs::read_dir(&db.folder).unwrap().count(), 0, "no file may be created");
}

/// An empty file, or another program's database. Neither is modified or gets a write-ahead log.
#[test]
fn a_file_without_our_tables_is_left_as_it_is() {
    let db = TestDb::new(Engine::Sqlite);
    let file = db.folder.join("test.sqlite3");
    std::fs::write(&file, "").unwrap();
    for args in COMMANDS {
        ask(&db, args, PASSWORD).refused(&["test.sqlite3", "DATABASE_URL"]);
    }
    db.sql("CREATE TABLE invoices (id INTEGER PRIMARY KEY)");
    let before = std::fs::read(&file).unwrap();
    for args in COMMANDS {
        ask(&db, args, PASSWORD).refused(&["test.sqlite3", "DATABASE_URL"]);
    }
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert_eq!(std::fs::read_dir(&db.folder).unwrap().count(), 1, "no other file may be created");
}

on_both_engines! {
    a_missing_key_file_is_named_and_not_created,
    both_places_can_be_given_to_every_command,
}

async fn a_missing_key_file_is_named_and_not_created(db: TestDb) {
    add_user(&db, KIM, "owner");
    let elsewhere = db.folder.join("elsewhere/session.key").display().to_string();
    for args in COMMANDS.iter().filter(|args| !args.contains(&"list") && !args.contains(&"export")) {
        let ended = ask_with(&db, &[("SESSILE_KEY_FILE", &elsewhere)], args, PASSWORD);
        ended.refused(&[&elsewhere, "SESSILE_KEY_FILE", "--key-file"]);
    }
    assert!(!db.folder.join("elsewhere").exists());
    assert_eq!(db.sql("SELECT count(*) FROM audit WHERE kind <> 'account.created'"), "0");
}

async fn both_places_can_be_given_to_every_command(db: TestDb) {
    let key_file = db.key_file();
    let (url, key) = (["--database-url", db.url()], ["--key-file", key_file.as_str()]);
    let bare = |args: &[&str], stdin: &str| {
        let mut program = command(&db, &[("SESSILE_LOG", "off")]);
        program.env_remove("DATABASE_URL").env_remove("SESSILE_KEY_FILE").args(args);
        to_end(program, stdin)
    };
    let add = ["user", "add", "--email", KIM, "--role", "owner", "--password-stdin"];
    bare(&[&url[..], &add, &key].concat(), PASSWORD).said();
    assert!(bare(&[&["user", "list"][..], &url].concat(), "").said().contains(KIM));
    assert!(bare(&[&["user"][..], &url, &["list"]].concat(), "").said().contains(KIM));
    assert!(bare(&[&url[..], &["user", "list"]].concat(), "").said().contains(KIM));
    assert_eq!(bare(&[&["session", "revoke", "--all"][..], &url, &key].concat(), "").said(), "ended 0\n");
    for args in [&["migrate"][..], &["doctor"], &["prune"], &["session", "list"], &["subscribers", "export"]] {
        let help = ask(&db, &[args, &["--help"]].concat(), "").said();
        for word in ["--database-url", "DATABASE_URL", "--key-file", "SESSILE_KEY_FILE"] {
            assert!(help.contains(word), "{args:?}: {word}: {help}");
        }
    }
    assert!(!db.folder.join("data").exists());
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_database_without_our_tables_is_named_without_its_password() {
    let db = TestDb::new(Engine::Postgres);
    let address = db.url().split_once('@').unwrap().1;
    let with_password = db.url().replace("postgres@", "postgres:geheim@");
    for args in COMMANDS {
        let ended = ask_with(&db, &[("DATABASE_URL", &with_password)], args, PASSWORD);
        ended.refused(&[address, "DATABASE_URL", "sessile migrate"]);
        assert!(!ended.stderr.contains("geheim"), "{ended:?}");
    }
    assert_eq!(db.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    assert!(!std::path::Path::new(&db.key_file()).exists());
}

/// Runs the commands under `script`, which gives them a terminal.
#[test]
fn a_changing_command_names_its_database_on_a_terminal() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let typed = |words: &str| {
        let mut program = Command::new("script");
        let line = format!("{} {words}", env!("CARGO_BIN_EXE_sessile"));
        program.args(["-qec", &line, "/dev/null"]).current_dir(&db.folder);
        program.env_clear().env("PATH", "/usr/bin:/bin").env("SESSILE_LOG", "off");
        program.env("DATABASE_URL", db.url()).env("SESSILE_KEY_FILE", db.key_file());
        to_end(program, "").stdout
    };
    let place = db.folder.join("test.sqlite3").display().to_string();
    assert!(typed("prune").contains(&format!("sessile: the database is {place}")));
    assert!(typed("session revoke --all").contains(&place));
    assert!(!typed("user list").contains(&place));
    assert!(ask(&db, &["prune"], "").stderr.is_empty(), "a program gets no such line");
}

/// The whole path next to a server: a session that the command ends is ended there too.
#[test]
fn a_command_finds_the_server_by_the_flag_alone() {
    actix_web::rt::System::new().block_on(async {
        let db = TestDb::new(Engine::Sqlite);
        add_user(&db, KIM, "owner");
        let server = Server::start(&db, &[]);
        let mut client = server.client();
        client.log_in(KIM);
        let other = TestDb::new(Engine::Sqlite);
        let key_file = db.key_file();
        let args = ["session", "revoke", "--all", "--database-url", db.url(), "--key-file", &key_file];
        assert_eq!(ask(&other, &args, "").said(), "ended 1\n");
        eventually("its end", async || client.get("/api/session").status == 401).await;
    });
}
