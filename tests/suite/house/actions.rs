//! Only actions, records and the base open write transactions, and actions do not depend on HTTP.

use std::path::{Path, PathBuf};

/// The layers that may open a write transaction.
const WRITERS: [&str; 3] = ["base", "records", "actions"];
/// Names that must not occur in an action. Its caller turns the request into plain values, and the result into an
/// answer.
const HTTP: [&str; 6] = ["actix_web", "actix_session", "crate::web", "crate::pages", "HttpRe", "StatusCode"];

#[test]
fn pages_and_commands_open_no_transaction_that_writes() {
    let wrong: Vec<String> = sources()
        .filter(|(file, _)| !WRITERS.iter().any(|layer| file.starts_with(layer)))
        .flat_map(|(file, text)| {
            writes(&text).map(move |line| format!("{}: {line}", file.display())).collect::<Vec<_>>()
        })
        .collect();
    assert!(wrong.is_empty(), "move the transaction to a function in src/actions: {wrong:#?}");
}

#[test]
fn actions_do_not_depend_on_http() {
    let wrong: Vec<String> = actions()
        .flat_map(|(file, text)| http(&text).map(move |word| format!("{}: {word}", file.display())).collect::<Vec<_>>())
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn actions_with_a_transaction_document_their_locks() {
    let silent = |text: &str| writes(text).next().is_some() && !docs(text).contains("Locks");
    let wrong: Vec<PathBuf> = actions().filter(|(_, text)| silent(text)).map(|(file, _)| file).collect();
    assert!(wrong.is_empty(), "add a line `Locks, in this order: …` to the module's docs: {wrong:#?}");
}

#[test]
fn the_scan_finds_every_form_of_transaction() {
    for text in ["db.write(work).await", "desk.sessions.db\n    .write(async move |conn| {", "db.statement(work)"] {
        assert_eq!(writes(text).count(), 1, "{text}");
    }
    for text in ["lock.write().await", "OpenOptions::new().write(true)", "// db.write(work)", "db.read(work)"] {
        assert_eq!(writes(text).count(), 0, "{text}");
    }
    assert_eq!(http("use crate::web::context::Desk; // actix_web").collect::<Vec<_>>(), ["crate::web"]);
    assert_eq!(http("use crate::{\n    base::db::Db,\n    web::forms,\n};").collect::<Vec<_>>(), ["crate::web"]);
}

/// Lines of code that open a write transaction or run a single write statement.
fn writes(text: &str) -> impl Iterator<Item = &str> {
    code(text).filter(|line| {
        let harmless = [".write()", ".write(true)"];
        line.contains(".statement(")
            || line.match_indices(".write(").any(|(at, _)| !harmless.iter().any(|one| line[at..].starts_with(one)))
    })
}

/// The words of [`HTTP`] in the code. In a grouped `use crate::{…}`, a layer's name begins a line.
fn http(text: &str) -> impl Iterator<Item = &'static str> {
    HTTP.into_iter().filter(|word| {
        let grouped = word.strip_prefix("crate::").map(|layer| format!("{layer}::"));
        code(text).any(|line| {
            line.contains(word) || grouped.as_ref().is_some_and(|layer| line.trim_start().starts_with(layer))
        })
    })
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or_default())
}

fn docs(text: &str) -> String {
    text.lines().take_while(|line| line.starts_with("//!")).collect()
}

fn actions() -> impl Iterator<Item = (PathBuf, String)> {
    sources().filter(|(file, _)| file.starts_with("actions"))
}

/// The source files with their paths relative to `src`.
fn sources() -> impl Iterator<Item = (PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![src.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(&src).unwrap().to_owned(), text));
            }
        }
    }
    files.into_iter()
}
