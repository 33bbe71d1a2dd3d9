//! Imports go one way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each band imports only from itself and the bands above it.
const BANDS: &[(&str, &[&str])] = &[
    (
        "base",
        &[
            "settings", "clock", "secret", "key_file", "error", "metrics", "db", "email", "assets", "text", "output",
            "outage",
        ],
    ),
    ("records", &["account", "audit", "device", "throttle", "session", "draft", "ending", "instance"]),
    ("web", &["security", "page", "failure", "desk", "trail", "pwa"]),
    ("pages", &["login", "dashboard", "account_page", "devices", "activity", "drafts", "sync", "live", "ops"]),
    ("assembly", &["routes", "app", "cli"]),
];

#[test]
fn every_module_imports_only_from_bands_above_it_and_pages_never_import_pages() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for file in rust_files(&src) {
        let module = module_of(&src, &file);
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let own = band_of(&module);
        for import in imports(&std::fs::read_to_string(&file).unwrap()) {
            let sideways = own == 3 && import != module;
            let theirs = band_of(&import);
            if theirs > own || (theirs == own && sideways) {
                wrong.push(format!("{}: {} imports {}", file.display(), BANDS[own].0, import));
            }
        }
        seen.insert(module);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let named: BTreeSet<String> = BANDS.iter().flat_map(|(_, modules)| *modules).map(ToString::to_string).collect();
    assert_eq!(seen, named, "the bands name every module and nothing else");
}

#[test]
fn only_db_knows_the_engine() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // Derives name both engines to check a struct against each.
    let telling = [
        "Engine::Sqlite",
        "Engine::Postgres",
        "Conn::Sqlite",
        "Conn::Postgres",
        "DatabaseUrl::",
        "SqliteConnection",
        "AsyncPgConnection",
    ];
    for file in rust_files(&src) {
        if matches!(module_of(&src, &file).as_str(), "db" | "settings") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let found: Vec<_> = telling.iter().filter(|word| text.contains(**word)).collect();
        assert!(found.is_empty(), "{}: {found:?}", file.display());
    }
}

#[test]
fn the_imports_of_a_file_are_all_found() {
    let text = "use crate::{\n    account::{self, Role},\n    db::Conn, error::Error,\n};\nuse crate::page;\n// crate::nothing\nfn f() { crate::secret::random() }";
    let found: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(found, ["account", "db", "error", "page", "secret"]);
}

fn band_of(module: &str) -> usize {
    BANDS.iter().position(|(_, modules)| modules.contains(&module)).unwrap_or_else(|| panic!("{module} has no band"))
}

fn module_of(src: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(src).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The first name after each `crate::`, of groups too; comments aside.
fn imports(text: &str) -> BTreeSet<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        if let Some(group) = after.strip_prefix('{') {
            found.extend(group_heads(group));
        } else {
            found.extend(first_name(after));
        }
    }
    found
}

fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut item, mut heads) = (0, String::new(), Vec::new());
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.extend(first_name(std::mem::take(&mut item).trim())),
            _ if depth == 0 => item.push(character),
            _ => {}
        }
    }
    heads.extend(first_name(item.trim()));
    heads
}

fn first_name(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    name.starts_with(|c: char| c.is_ascii_lowercase()).then_some(name)
}
