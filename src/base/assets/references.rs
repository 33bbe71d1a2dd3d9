//! Finds references between static files. Called by `fingerprint`. The text is searched without parsing it, so comments
//! are searched too.
//!
//! Invariant: a range covers a path only, without quotes, query or fragment.

use std::ops::Range;

/// The prefix of every address of a static file.
pub const ROOT: &str = "/static/";

/// References in a script: a relative path after `import` or `from`, and a quoted `/static/NAME`.
pub fn in_script(text: &str) -> Vec<Range<usize>> {
    quoted(text, |before, literal| is_static(literal) || (is_relative(literal) && is_import(before)))
}

/// References in a web manifest: a quoted `/static/NAME`.
pub fn in_manifest(text: &str) -> Vec<Range<usize>> {
    quoted(text, |_, literal| is_static(literal))
}

/// The quoted texts for which `is_reference(text before the quote, quoted text)` is true. The search cannot tell an
/// opening quote from a closing quote, so it tries each quote as an opening one.
fn quoted(text: &str, is_reference: impl Fn(&str, &str) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some((at, quote)) = next_quote(text, from) {
        from = at + 1;
        let rest = text.get(from..).unwrap_or_default();
        let Some(length) = rest.find([quote, '\n']) else {
            continue;
        };
        let (literal, after) = rest.split_at(length);
        if after.starts_with(quote) && is_reference(text.get(..at).unwrap_or_default(), literal) {
            found.push(from..from + file_part(literal).len());
            from += length + 1;
        }
    }
    found
}

fn next_quote(text: &str, from: usize) -> Option<(usize, char)> {
    let at = from + text.get(from..)?.find(['"', '\''])?;
    Some((at, text.get(at..)?.chars().next()?))
}

/// Whether `before` ends like `import "…"`, `import("…")`, `import … from "…"` or `export … from "…"` just before the
/// quote.
fn is_import(before: &str) -> bool {
    let before = before.trim_end();
    let called = before.strip_suffix('(').map(str::trim_end);
    let word = |text: &str, word: &str| {
        text.strip_suffix(word)
            .is_some_and(|rest| !rest.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.')))
    };
    match called {
        Some(called) => word(called, "import"),
        None => word(before, "import") || word(before, "from"),
    }
}

fn is_relative(literal: &str) -> bool {
    literal.starts_with("./") || literal.starts_with("../")
}

/// Whether the literal is the address of a file, and not of a folder or the first part of an address.
fn is_static(literal: &str) -> bool {
    let file = file_part(literal);
    file.starts_with(ROOT)
        && file.rsplit('/').next().is_some_and(|last| last.contains('.'))
        && !file.contains(char::is_whitespace)
}

/// The literal without its query and fragment.
fn file_part(literal: &str) -> &str {
    literal.split(['?', '#']).next().unwrap_or_default()
}

/// References in a style sheet: the arguments of `url()` and `@import`, except addresses outside `/static/`.
pub fn in_style(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some((start, end)) = next_in_style(text, from) {
        let reference = file_part(text.get(start..end).unwrap_or_default());
        let has_scheme = reference.split('/').next().is_some_and(|first| first.contains(':'));
        let is_elsewhere = reference.starts_with('/') && !is_static(reference);
        if !reference.is_empty() && !has_scheme && !is_elsewhere {
            found.push(start..start + reference.len());
        }
        from = end;
    }
    found
}

/// The range of the next argument of `url(…)` or `@import "…"`, without quotes.
fn next_in_style(text: &str, from: usize) -> Option<(usize, usize)> {
    let rest = text.get(from..)?;
    let url = rest.find("url(").map(|at| from + at + "url(".len());
    let import = rest
        .match_indices("@import")
        .map(|(at, word)| from + at + word.len())
        .find(|at| text.get(*at..).is_some_and(|after| after.trim_start().starts_with(['"', '\''])));
    let after = [url, import].into_iter().flatten().min()?;
    let value = text.get(after..)?;
    let start = after + value.len() - value.trim_start().len();
    let value = value.trim_start();
    match value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        Some(quote) => {
            let length = value.get(1..)?.find(quote)?;
            Some((start + 1, start + 1 + length))
        }
        None => Some((start, start + value.find(')').map(|end| value.get(..end))??.trim_end().len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with each reference in angle brackets.
    fn marked(find: fn(&str) -> Vec<Range<usize>>, text: &str) -> String {
        find(text).into_iter().rev().fold(text.to_owned(), |mut text, found| {
            text.insert(found.end, '>');
            text.insert(found.start, '<');
            text
        })
    }

    fn each(find: fn(&str) -> Vec<Range<usize>>, wanted: &[&str]) {
        for wanted in wanted {
            assert_eq!(marked(find, &wanted.replace(['<', '>'], "")), *wanted);
        }
    }

    #[test]
    fn scripts_name_the_modules_that_they_import_and_static_files() {
        each(
            in_script,
            &[
                "import '<./x.js>'",
                "import\"<./x.js>\"",
                "import {a,\n b} from \"<./deep/y.js>\";",
                "export*from'<../sw.js>'",
                "const m = await import( '<./../js/x.js>' )",
                "it's(\"'\"); import '<./x.js>'",
                "const r = /[\"']/; import '<./x.js>';",
                "fetch('./x.js'); Array.from('./x.js')",
                "reimport('./x.js'); obj.import('./x.js')",
                "['</static/js/x.js>', \"</static/sw.js>?v#f\"]",
                "path.startsWith('/static/') || '/static/js/' || '/static/js'",
                "import 'module'; import '/elsewhere.js'; '",
                "'ä'; import '<./x.js>' // ünï",
                "import './x",
                "",
            ],
        );
    }

    #[test]
    fn manifests_name_static_files() {
        each(in_manifest, &["{\"src\": \"</static/icons/i.png>\", \"scope\": \"/\", \"x\": \"./x.js\"}"]);
    }

    #[test]
    fn styles_name_pictures_and_other_styles() {
        each(
            in_style,
            &[
                "@import '<b.css>';",
                "@import url(<b.css>) print;",
                "a{b:url( \"<../icons/i.svg>#x\" )}",
                "a{b:url(<../icons/i.svg>?v )}",
                "a{b:url(</static/icons/i.svg>)}",
                "a{b:url(/other.svg) url(#id) url(https://h/x) url() url(//h/x)}",
                "a{b:url(\"data:image/svg+xml,%3Ca b='url(i.svg)'/%3E\")}",
                "a{b:url(\"data:x\"),url('<b.css>')}",
                "a{b:url(",
                "@import '",
                "",
            ],
        );
    }
}
