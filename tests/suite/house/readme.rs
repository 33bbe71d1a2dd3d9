//! What the README says of the tests, and of what it is measured against, is so.

use std::path::Path;

/// The requirements of OWASP ASVS 5.0.0 that the README answers: V6.2, V6.3 and V7.1 to V7.6, and how many each has.
const MEASURED: [(&str, usize); 8] =
    [("6.2", 12), ("6.3", 8), ("7.1", 3), ("7.2", 4), ("7.3", 2), ("7.4", 5), ("7.5", 3), ("7.6", 2)];

#[test]
fn every_test_that_the_readme_names_exists() {
    let readme = read("README.md").expect("a README");
    let named = named_tests(&readme);
    assert!(named.len() > 30, "{named:?}");
    let missing: Vec<_> = named.into_iter().filter(|name| !is_test(name)).collect();
    assert!(missing.is_empty(), "the README names tests that do not exist: {missing:#?}");
}

#[test]
fn every_measured_requirement_has_its_level_a_verdict_and_what_shows_it() {
    let readme = read("README.md").expect("a README");
    let rows: Vec<Vec<&str>> = readme
        .lines()
        .filter(|line| line.starts_with("| 6.") || line.starts_with("| 7."))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let numbers: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    let expected: Vec<String> =
        MEASURED.iter().flat_map(|(part, most)| (1..=*most).map(move |n| format!("{part}.{n}"))).collect();
    assert_eq!(numbers, expected);
    for row in &rows {
        let [_, level, requirement, verdict, shown] = row[..] else { panic!("five columns: {row:?}") };
        assert!(["1", "2", "3"].contains(&level) && !requirement.is_empty(), "{row:?}");
        let (word, reason) = verdict.split_once(": ").unwrap_or((verdict, ""));
        assert!(["met", "partly", "not met", "not applicable"].contains(&word), "{row:?}");
        assert!(word == "met" || !reason.is_empty(), "{row:?} needs a reason");
        let is_shown = !named_tests(shown).is_empty() || shown.contains("](#");
        assert!(word.starts_with("not ") || is_shown, "{row:?} names nothing that shows it");
    }
}

#[test]
fn what_is_no_test_is_no_name_of_one() {
    assert_eq!(named_tests("`db::Conn`, `session::current`, `a::b::c`, a::b::d, `a::B::c`"), ["a::b::c"]);
    assert!(is_test("house::readme::what_is_no_test_is_no_name_of_one"));
    assert!(is_test("house::migrations::schema_rs_is_what_the_migrations_make"), "a case on both engines");
    assert!(
        is_test("records::account::strength::tests::length_counts_characters")
            && is_test("base::settings::tests::values_mean_what_they_say")
    );
    for made_up in
        ["house::readme::named_tests", "house::readme::no_such_test", "no::such::module", "account::tests::x"]
    {
        assert!(!is_test(made_up), "{made_up}");
    }
}

/// The program has nothing that could send or fetch mail, so that an e-mail address is a name and opens nothing.
#[test]
fn nothing_in_the_program_sends_mail() {
    let lock = read("Cargo.lock").expect("a lock file");
    let crates: Vec<&str> = lock.lines().filter_map(|line| line.strip_prefix("name = \"")).collect();
    assert!(crates.len() > 50);
    let mail = ["mail", "lettre", "smtp", "imap", "mailgun", "sendgrid"];
    let found: Vec<_> = crates.iter().filter(|name| mail.iter().any(|word| name.contains(word))).collect();
    assert!(found.is_empty(), "{found:?}");
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// What stands in backticks and has three or more parts in small letters: `suite::module::test` or `module::tests::test`.
fn named_tests(text: &str) -> Vec<&str> {
    let is_part =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let is_name = |name: &&str| name.split("::").count() > 2 && name.split("::").all(is_part);
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(is_name).collect()
}

/// Whether there is such a test, in `tests/suite` or in `src`.
fn is_test(name: &str) -> bool {
    let (module, test) = name.rsplit_once("::").expect("a path");
    let path = module.replace("::", "/");
    let around = path.strip_suffix("/tests").unwrap_or(&path);
    [format!("tests/suite/{path}"), format!("src/{path}"), format!("src/{around}")]
        .iter()
        .flat_map(|path| [format!("{path}.rs"), format!("{path}/mod.rs")])
        .filter_map(|path| read(&path))
        .any(|source| is_test_of(&source, test))
}

/// A function under `#[test]` or its like, or a case on both engines.
fn is_test_of(source: &str, test: &str) -> bool {
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
