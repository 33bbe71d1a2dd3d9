//! What a request's look-up reads is cached, so each statement that changes it announces the change in its transaction.

use std::collections::BTreeSet;
use std::path::Path;

/// Functions that change a row of `sessions`, `accounts` or `devices` without an announcement, and why that is right.
const SILENT: &[(&str, &str, &str)] = &[
    ("account/mod.rs", "note_login", "the time of the last login is not cached"),
    ("account/mod.rs", "rehash", "the password hash is not cached"),
    ("account/mod.rs", "disable", "the caller ends the sessions, which is announced"),
    ("account/mod.rs", "keep", "when a deletion was asked for is not cached"),
    ("account/mod.rs", "enable", "a disabled account has no live sessions"),
    ("account/leaving.rs", "ask", "the caller ends the sessions, which is announced"),
    ("account/search.rs", "fill_batch", "the text for the search is not cached"),
    ("device/arrivals.rs", "set", "whether a device was acknowledged is not cached"),
    ("device/browser.rs", "*", "whether a browser proved itself is not cached"),
    ("device/known.rs", "note_sync", "the time of the last sync is not cached"),
    ("device/known.rs", "forget", "the caller ends the device's sessions, which is announced"),
    ("draft/statements.rs", "*", "the account's revision is not cached"),
    ("draft/sweep.rs", "*", "the account's revision is not cached"),
    ("passkey/mod.rs", "offer", "whether a passkey was offered is not cached"),
    ("session/data.rs", "*", "the data of clients is not cached"),
    ("session/device_sweep.rs", "*", "these devices have no live sessions"),
    ("session/ends.rs", "end_batch", "`record_ends` announces the ends"),
    ("session/lookup.rs", "end_expired", "the session has ended"),
    ("session/people.rs", "delete_devices", "the caller announces that the account's sessions are gone"),
    ("session/statements.rs", "note_use", "a session whose key was not used yet is not cached"),
    ("session/statements.rs", "note_device_secret", "secrets of devices are not cached"),
    ("session/store.rs", "note_use_after_end", "the session has ended"),
    ("session/sweep.rs", "expire", "`record_ends` announces the ends"),
    ("session/sweep.rs", "delete_forgotten", "the sessions have ended"),
];

#[test]
fn every_change_of_something_cached_is_announced() {
    let mut used = BTreeSet::new();
    let mut forgotten = Vec::new();
    for (file, source) in records() {
        for (name, body) in functions(&source) {
            if !changes_something_cached(body) {
                continue;
            }
            let is_silent =
                |(of, function, _): &&(&str, &str, &str)| file == *of && (*function == "*" || *function == name);
            match SILENT.iter().find(is_silent) {
                Some(silent) => drop(used.insert(silent)),
                None if body.contains("news::") => {}
                None => forgotten.push(format!("{file}: {name}")),
            }
        }
    }
    assert!(forgotten.is_empty(), "call news::looked_up_changed in {forgotten:?}, or say in SILENT why not");
    let unused: Vec<_> = SILENT.iter().filter(|silent| !used.contains(silent)).collect();
    assert!(unused.is_empty(), "these functions are gone, or announce their changes: {unused:?}");
}

#[test]
fn a_statement_that_forgets_its_announcement_is_found() {
    let source = "pub async fn rename(conn: &mut Conn<'_>) {\n    let own = devices::table.find(1);\n    \
                  run!(conn, execute(diesel::update(own)))\n}\n";
    let found: Vec<_> = functions(source).into_iter().filter(|(_, body)| changes_something_cached(body)).collect();
    assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["rename"]);
}

fn changes_something_cached(body: &str) -> bool {
    let changes = body.contains("diesel::update(") || body.contains("diesel::delete(");
    let tables = ["sessions::", "accounts::", "devices::", "live_session!", "unused_key!"];
    changes && tables.iter().any(|table| body.contains(table))
}

/// The files below `src/records`, with their sources.
fn records() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/records");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().display().to_string();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}

/// The functions of a source file, with their texts.
fn functions(source: &str) -> Vec<(String, &str)> {
    let starts: Vec<usize> = source.match_indices("fn ").map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([source.len()]);
    let texts = starts.iter().zip(ends).map(|(start, end)| &source[*start + 3..end]);
    texts.filter_map(|text| Some((text.split(['(', '<']).next()?.to_owned(), text))).collect()
}
