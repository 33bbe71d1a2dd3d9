//! Only the session records access the sessions table, and only one file defines when a session is live.

use std::path::{Path, PathBuf};

/// The folder with the statements on sessions.
const STATEMENTS: &str = "records/session";
/// The file with the definition of "live".
const DEFINITION: &str = "records/session/live.rs";
/// The schema, and the statements that differ by engine.
const ENGINES: &str = "base/db";

#[test]
fn only_the_records_of_sessions_touch_their_table() {
    let elsewhere: Vec<(PathBuf, String)> =
        code().into_iter().filter(|(file, _)| !file.starts_with(STATEMENTS) && !file.starts_with(ENGINES)).collect();
    let touching: Vec<&PathBuf> =
        elsewhere.iter().filter(|(_, code)| names_table(code)).map(|(file, _)| file).collect();
    assert!(touching.is_empty(), "write a function in src/{STATEMENTS} instead: {touching:#?}");
}

#[test]
fn only_one_file_compares_the_end_of_a_session() {
    let elsewhere = code().into_iter().filter(|(file, _)| !file.starts_with(DEFINITION) && !file.starts_with(ENGINES));
    let comparing: Vec<PathBuf> = elsewhere.filter(|(_, code)| compares_end(code)).map(|(file, _)| file).collect();
    assert!(comparing.is_empty(), "call a function of src/{DEFINITION} instead: {comparing:#?}");
}

#[test]
fn the_rules_on_the_sessions_table_detect_breaches() {
    let notice = |text: &str, rule: fn(&str) -> bool| rule(&without_spaces(text));
    assert!(notice("use crate::base::db::schema::sessions;", names_table));
    assert!(notice("use crate::base::db::schema::sessions as rows;", names_table));
    assert!(notice("use crate::base::db::{\n    Conn,\n    schema::{devices, sessions},\n};", names_table));
    assert!(notice("use schema::{audit_repeats::{self as repeats, dsl}, sessions};", names_table));
    assert!(notice("run!(conn, load(sessions::table.select(sessions::id)))", names_table));
    assert!(notice("conn.sql(\"SELECT id FROM sessions WHERE id = $1\")", names_table));
    assert!(!notice("// schema::sessions\nuse schema::{devices, former_keys};\nend_sessions::name()", names_table));
    assert!(!notice("fn sessions(sessions: &Sessions) { sessions.db.read() }", names_table));
    assert!(notice(".filter(sessions::ended_at\n    .is_null())", compares_end));
    assert!(notice(".filter(sessions::expires_at.gt(now()))", compares_end));
    assert!(notice("if record.expires_at <= row.now {", compares_end));
    assert!(notice(".filter(sessions::generation.lt(CurrentGeneration))", compares_end));
    assert!(!notice("links::expires_at.le(now())", compares_end));
    assert!(!notice(".order(sessions::expires_at).limit(1)", compares_end));
}

fn names_table(code: &str) -> bool {
    let in_group = code.split("schema::{").skip(1).any(|rest| has_word(group(rest), "sessions"));
    let in_sql = ["FROM sessions", "JOIN sessions", "INTO sessions", "UPDATE sessions"];
    in_group
        || has_word(code, "schema::sessions")
        || has_word(code, "sessions::table")
        || in_sql.iter().any(|words| has_word(code, words))
}

/// The text before the brace that closes a group.
fn group(rest: &str) -> &str {
    let mut depth = 1;
    let end = rest.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0
    });
    &rest[..end.unwrap_or(rest.len())]
}

fn compares_end(code: &str) -> bool {
    let methods = ["is_null", "is_not_null", "gt", "ge", "lt", "le"];
    let in_statement = ["ended_at", "expires_at"]
        .iter()
        .any(|column| methods.iter().any(|method| has_word(code, &format!("sessions::{column}.{method}"))));
    let generation =
        ["eq", "lt"].iter().any(|method| code.contains(&format!("sessions::generation.{method}(CurrentGeneration)")));
    in_statement || generation || ["<", ">"].iter().any(|sign| code.contains(&format!("record.expires_at{sign}")))
}

/// Whether the code contains `word`, not as part of a longer name.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(is_of_name) && !code[at + word.len()..].starts_with(is_of_name))
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The code of each file in `src`, without comments and optional spaces, with the file's path.
fn code() -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut found) = (vec![src.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&src).unwrap().to_owned(), without_spaces(&text)));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// Removes comments, and all spaces except those between two names, so that the layout of the code does not matter.
fn without_spaces(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let mut code = String::new();
    for word in lines.join("\n").split_whitespace() {
        if code.ends_with(is_of_name) && word.starts_with(is_of_name) {
            code.push(' ');
        }
        code.push_str(word);
    }
    code
}
