//! Checks the docs' claims about tests, settings and security standards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::links::documents;

/// The requirements of OWASP ASVS 5.0.0 in docs/security.md: sections 6.2 to 6.8 and 7.1 to 7.6, each with its number of
/// requirements.
const REQUIREMENTS: [(&str, usize); 13] = [
    ("6.2", 12),
    ("6.3", 8),
    ("6.4", 6),
    ("6.5", 8),
    ("6.6", 4),
    ("6.7", 2),
    ("6.8", 4),
    ("7.1", 3),
    ("7.2", 4),
    ("7.3", 2),
    ("7.4", 5),
    ("7.5", 3),
    ("7.6", 2),
];

#[test]
fn every_test_that_the_docs_name_exists() {
    let missing: Vec<String> = documents()
        .iter()
        .flat_map(|(path, text)| named_tests(text).into_iter().map(move |name| (path, name)))
        .filter(|(_, name)| !exists(name))
        .map(|(path, name)| format!("{path}: {name}"))
        .collect();
    assert!(missing.is_empty(), "no such test or module: {missing:#?}");
    let security = read("docs/security.md").expect("docs/security.md");
    assert!(named_tests(&security).len() > 30);
}

#[test]
fn every_browser_test_that_the_docs_name_exists() {
    let exists = |spec: &str, title: &str| {
        let text = read(&format!("tests/browser/specs/{spec}.spec.mjs"));
        text.is_some_and(|text| text.contains(title.trim_end_matches('…')))
    };
    let named: Vec<(String, String)> =
        documents().iter().flat_map(|(_, text)| text.lines().flat_map(browser_tests).collect::<Vec<_>>()).collect();
    assert!(named.len() > 10, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|(spec, title)| !exists(spec, title)).collect();
    assert!(missing.is_empty(), "no such spec or title: {missing:#?}");
    assert!(!exists("no-such", "") && !exists("live", "no such title"));
    let line = "lan.spec; `a::b`, live.spec \"one…\" (3), \"two\"";
    let expected = [("lan", ""), ("live", "one…"), ("live", "two")];
    assert_eq!(browser_tests(line), expected.map(|(spec, title)| (spec.to_owned(), title.to_owned())));
}

/// The browser specs in a line, each with the quoted titles after it, or with an empty title.
fn browser_tests(line: &str) -> Vec<(String, String)> {
    let mut before = line;
    let mut found = Vec::new();
    for rest in line.split(".spec").skip(1) {
        let spec = before.split(".spec").next().unwrap_or_default();
        let spec = spec.rsplit(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap_or_default();
        let titles: Vec<&str> = rest.split('"').skip(1).step_by(2).collect();
        let titles = if titles.is_empty() { vec![""] } else { titles };
        found.extend(titles.into_iter().map(|title| (spec.to_owned(), title.to_owned())));
        before = rest;
    }
    found
}

#[test]
fn every_requirement_has_a_level_a_status_and_evidence() {
    let security = read("docs/security.md").expect("docs/security.md");
    let rows: Vec<Vec<&str>> = security
        .lines()
        .filter(|line| line.starts_with("| 6.") || line.starts_with("| 7."))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let numbers: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    let expected: Vec<String> =
        REQUIREMENTS.iter().flat_map(|(part, most)| (1..=*most).map(move |n| format!("{part}.{n}"))).collect();
    assert_eq!(numbers, expected);
    for row in &rows {
        let [_, level, requirement, status, evidence] = row[..] else { panic!("five columns: {row:?}") };
        assert!(["1", "2", "3"].contains(&level) && !requirement.is_empty(), "{row:?}");
        let (word, reason) = status.split_once(": ").unwrap_or((status, ""));
        assert!(["met", "partly", "not met", "not applicable"].contains(&word), "{row:?}");
        assert!(word == "met" || !reason.is_empty(), "{row:?} needs a reason");
        let is_shown = !named_tests(evidence).is_empty() || evidence.contains("](");
        assert!(word.starts_with("not ") || is_shown, "{row:?} has no evidence");
    }
}

#[test]
fn test_names_are_distinguished_from_other_names() {
    let text =
        "`db::Conn`, `session::current`, `a::b::c`, a::b::d, `a::B::c`, `sync::room`, `sessile::serve::anchors=info`";
    assert_eq!(named_tests(text), ["a::b::c", "sync::room"]);
    for name in [
        "house::claims::test_names_are_distinguished_from_other_names",
        "house::migrations::schema_rs_matches_the_migrations",
        "records::account::strength::tests::length_counts_characters",
        "base::settings::tests::values_mean_what_they_say",
        "house::claims",
        "base::settings::tests",
    ] {
        assert!(exists(name), "{name}");
    }
    for name in
        ["house::claims::named_tests", "house::claims::no_such_test", "no::such::module", "base::clock::tests::x"]
    {
        assert!(!exists(name), "{name}");
    }
}

#[test]
fn the_docs_list_every_setting_with_its_default_and_no_other() {
    let source = read("src/base/settings/args.rs").expect("the table of settings");
    let settings = read("docs/settings.md").expect("docs/settings.md");
    let declared = declared(&source);
    assert!(declared.len() > 20, "{declared:?}");
    assert_eq!(listed(&settings), declared);
    for (right, wrong) in [("| `3s` |", "| `4s` |"), ("`SESSILE_LOG`", "`SESSILE_LOGS`"), ("| cores |", "| `4` |")] {
        assert_ne!(listed(&settings.replacen(right, wrong, 1)), declared, "{wrong} is not noticed");
    }
}

/// The variables in the table of settings, each with the default that the help shows.
fn declared(source: &str) -> BTreeMap<&str, &str> {
    let quoted = source.lines().map(|line| line.split('"').skip(1).step_by(2).collect::<Vec<_>>());
    let is_variable = |word: &str| word == "DATABASE_URL" || word.starts_with("SESSILE_");
    let settings = quoted.filter(|words| words.len() > 2 && is_variable(words[0]));
    settings.map(|words| (words[0], words[words.len() - 1])).collect()
}

/// The variables in the tables of docs/settings.md, each with its default.
fn listed(settings: &str) -> BTreeMap<&str, &str> {
    let rows = settings.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let defaults = rows.filter_map(|(names, rest)| Some((names, rest.split_once(" | ")?.0.trim_matches('`'))));
    defaults.flat_map(|(names, default)| names.split('`').skip(1).step_by(2).map(move |name| (name, default))).collect()
}

#[test]
fn the_readme_names_the_rust_version_and_the_number_of_crates() {
    let rust = format!("Rust {} or later", env!("CARGO_PKG_RUST_VERSION"));
    for path in ["README.md", "CONTRIBUTING.md"] {
        assert!(read(path).is_some_and(|text| text.contains(&rust)), "{path}: {rust}");
    }
    let readme = read("README.md").expect("README.md");
    let said: usize = readme.split(" crates").next().and_then(|text| text.rsplit(' ').next()).unwrap().parse().unwrap();
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo");
    let tree = String::from_utf8(tree.stdout).expect("text");
    let compiled: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    assert!(compiled.len().abs_diff(said) <= 15, "{said} crates: there are {}", compiled.len());
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// Names in backticks that can only mean a test or a test module: three or more lower-case parts, or a suite and its
/// module.
fn named_tests(text: &str) -> Vec<&str> {
    let is_part =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let is_name = |name: &&str| {
        let parts: Vec<&str> = name.split("::").collect();
        parts.iter().all(|part| is_part(part))
            && parts[0] != "sessile"
            && (parts.len() > 2 || parts.len() == 2 && is_suite(parts[0]))
    };
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(is_name).collect()
}

fn is_suite(name: &str) -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite").join(name).is_dir()
}

/// Whether `tests/suite` or `src` has this test, or this module with tests.
fn exists(name: &str) -> bool {
    let (module, test) = name.rsplit_once("::").expect("a path");
    let has_tests = |source: &String| ["#[test]", "on_both_engines", "\nmod "].iter().any(|sign| source.contains(sign));
    let is_module = sources(name).iter().any(has_tests);
    is_module || sources(module).iter().any(|source| has_test(source, test))
}

/// The source files that can contain this module. `mod tests` may be in its parent's file.
fn sources(module: &str) -> Vec<String> {
    let path = module.replace("::", "/");
    let around = path.strip_suffix("/tests").unwrap_or(&path);
    [format!("tests/suite/{path}"), format!("src/{path}"), format!("src/{around}")]
        .iter()
        .flat_map(|path| [format!("{path}.rs"), format!("{path}/mod.rs")])
        .filter_map(|path| read(&path))
        .collect()
}

/// Whether the source has this function as a test, or as a case for both engines.
fn has_test(source: &str, test: &str) -> bool {
    let source = &source.replace("on_both_engines_and_citus!", "on_both_engines!");
    let head = format!("fn {test}(");
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let marked = lines.iter().enumerate().any(|(at, line)| {
        let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
        line.contains(&head) && attributes.clone().any(|one| *one == "#[test]" || one.ends_with("::test]"))
    });
    let cases = source.split_once("on_both_engines! {").and_then(|(_, rest)| rest.split_once('}'));
    let in_cases = cases.is_some_and(|(cases, _)| cases.split(',').any(|case| case.trim() == test));
    marked || (in_cases && source.contains(&head))
}
