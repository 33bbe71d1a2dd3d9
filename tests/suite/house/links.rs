//! Every link and every path of this repository in the docs leads to an existing file and anchor.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// A path in backticks is checked if it begins with one of these.
const FOLDERS: [&str; 10] =
    ["src/", "tests/", "docs/", "ops/", "scripts/", "static/", "templates/", "migrations/", "fuzz/", "benches/"];

#[test]
fn every_relative_link_in_the_docs_resolves() {
    let broken: Vec<String> = documents()
        .iter()
        .flat_map(|(path, text)| links(text).into_iter().map(move |link| (path, link)))
        .filter(|(_, link)| !link.contains("://") && !link.starts_with("mailto:"))
        .filter(|(path, link)| !leads_somewhere(path, link))
        .map(|(path, link)| format!("{path}: {link}"))
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_path_that_the_docs_name_exists_or_is_planned() {
    let missing: Vec<String> = documents()
        .iter()
        .flat_map(|(path, text)| named_paths(text).into_iter().map(move |named| (path, named)))
        .filter(|(path, named)| !(exists(named) || *path == "ARCHITECTURE.md" && PLANNED.contains(named)))
        .map(|(path, named)| format!("{path}: {named}"))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let built: Vec<_> = PLANNED.iter().filter(|path| exists(path)).collect();
    assert!(built.is_empty(), "no longer planned: {built:?}");
}

/// Paths that ARCHITECTURE.md names for code that does not exist yet.
const PLANNED: &[&str] = &[];

#[test]
fn links_anchors_and_paths_are_found() {
    let text = "# One `two`, three\n[a](b.md#c) ![d](e.png)\n```sh\n# no heading [x](y)\n```\nin `src/lib.rs`, `src/**`\n## One two three\n## A/B: 1.2\n";
    assert_eq!(links(text), ["b.md#c", "e.png"]);
    assert_eq!(named_paths(text), ["src/lib.rs"]);
    let expected = ["one-two-three", "one-two-three-1", "ab-12"].map(str::to_owned);
    assert_eq!(anchors(text), BTreeSet::from(expected));
    assert!(leads_somewhere("docs/operating.md", "../README.md#try-it"));
    for broken in ["../README.md#no-such-heading", "../no-such-file.md", "#no-such-heading"] {
        assert!(!leads_somewhere("docs/operating.md", broken), "{broken}");
    }
    assert!(exists("src/records/session.rs"), "a module may be a folder");
    assert!(!exists("src/no_such_module.rs"));
}

/// All Markdown files in the root, `docs/` and `ops/`, with their paths.
pub fn documents() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["", "docs/", "ops/"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("a folder") {
            let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            if name.ends_with(".md") {
                let text = std::fs::read_to_string(root().join(folder).join(&name)).expect("text");
                found.push((format!("{folder}{name}"), text));
            }
        }
    }
    assert!(found.len() > 10, "{}", found.len());
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The lines outside code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

fn links(text: &str) -> Vec<&str> {
    prose(text).flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next()).collect()
}

fn named_paths(text: &str) -> Vec<&str> {
    prose(text)
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|code| FOLDERS.iter().any(|folder| code.starts_with(folder)))
        .filter(|code| !code.contains(['*', ' ', '…', '{']))
        .collect()
}

fn leads_somewhere(from: &str, link: &str) -> bool {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let folder = Path::new(from).parent().expect("a folder");
    let target = if path.is_empty() { PathBuf::from(from) } else { normalized(&folder.join(path)) };
    if !root().join(&target).exists() {
        return false;
    }
    anchor.is_empty() || std::fs::read_to_string(root().join(&target)).is_ok_and(|text| anchors(&text).contains(anchor))
}

/// Resolves `..`. A link out of the repository becomes a path that does not exist.
fn normalized(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                if !parts.pop() {
                    parts.push("outside-of-the-repository");
                }
            }
            other => parts.push(other),
        }
    }
    parts
}

/// The anchors that GitHub gives to the headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in prose(text).filter(|line| line.starts_with('#')) {
        let base: String = line
            .trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let mut anchor = base.clone();
        let mut again = 0;
        while !anchors.insert(anchor) {
            again += 1;
            anchor = format!("{base}-{again}");
        }
    }
    anchors
}

/// Whether the file or folder exists. A module `x.rs` may be `x/mod.rs`.
fn exists(path: &str) -> bool {
    let as_folder = path.strip_suffix(".rs").map(|module| root().join(module).join("mod.rs"));
    root().join(path).exists() || as_folder.is_some_and(|path| path.exists())
}
