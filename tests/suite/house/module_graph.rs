//! The import graph of the modules in `src`, read from the source text.
//!
//! A module uses another if it imports or re-exports from it, or names it in a path that begins with `crate`, `super`,
//! `self` or a child module. Comments, strings, visibilities and test modules are ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The path of a module below `crate`: `["base", "db"]`. Empty for `lib.rs` and `main.rs`.
pub type Module = Vec<String>;

/// Each module with the modules that it uses.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub uses: BTreeMap<Module, BTreeSet<Module>>,
}

impl Graph {
    /// Reads all source files of a folder.
    pub fn read(src: &Path) -> Self {
        let files: BTreeMap<Module, String> = rust_files(src)
            .into_iter()
            .map(|file| (module_of(src, &file), std::fs::read_to_string(&file).unwrap()))
            .filter(|(module, _)| !module.is_empty())
            .collect();
        Self::of(&files)
    }

    /// Builds the graph from the modules' source texts.
    pub fn of(files: &BTreeMap<Module, String>) -> Self {
        let modules: BTreeSet<Module> = files.keys().cloned().collect();
        let uses = files.iter().map(|(module, text)| (module.clone(), used_by(module, text, &modules))).collect();
        Self { uses }
    }

    pub fn add(&mut self, from: &str, to: &str) {
        self.uses.entry(module(from)).or_default().insert(module(to));
    }

    /// Every use as `(from, to)`.
    pub fn edges(&self) -> impl Iterator<Item = (&Module, &Module)> {
        self.uses.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to)))
    }

    /// The import cycles: the strongly connected components with more than one module (Tarjan 1972).
    pub fn circles(&self) -> Vec<Vec<String>> {
        let mut search = Search { graph: self, found: BTreeMap::new(), open: Vec::new(), circles: Vec::new() };
        for module in self.uses.keys() {
            if !search.found.contains_key(module) {
                search.visit(module);
            }
        }
        search.circles
    }
}

/// Parses a module path such as `base::db`.
pub fn module(path: &str) -> Module {
    path.split("::").map(str::to_owned).collect()
}

struct Search<'g> {
    graph: &'g Graph,
    /// A module's discovery number, and the lowest number of an open module that it reaches.
    found: BTreeMap<&'g Module, (usize, usize)>,
    open: Vec<&'g Module>,
    circles: Vec<Vec<String>>,
}

impl<'g> Search<'g> {
    fn visit(&mut self, module: &'g Module) -> usize {
        let number = self.found.len();
        let mut lowest = number;
        self.found.insert(module, (number, lowest));
        self.open.push(module);
        for next in self.graph.uses.get(module).into_iter().flatten() {
            match self.found.get(next) {
                None => lowest = lowest.min(self.visit(next)),
                Some((number, _)) if self.open.contains(&next) => lowest = lowest.min(*number),
                Some(_) => {}
            }
        }
        if lowest == number {
            let start = self.open.iter().position(|other| *other == module).unwrap();
            let mut circle: Vec<String> = self.open.split_off(start).into_iter().map(|path| path.join("::")).collect();
            circle.sort();
            if circle.len() > 1 {
                self.circles.push(circle);
            }
        }
        self.found.insert(module, (number, lowest));
        lowest
    }
}

/// The modules that a file uses, except itself and the root.
fn used_by(module: &Module, text: &str, modules: &BTreeSet<Module>) -> BTreeSet<Module> {
    let code = code_of(text);
    let used = paths(without_tests(&code)).into_iter().filter_map(|path| {
        let mut path = absolute(&path, module, modules)?;
        while !path.is_empty() && !modules.contains(&path) {
            path.pop();
        }
        Some(path)
    });
    used.filter(|path| !path.is_empty() && path != module).collect()
}

/// Resolves a path from the root of the crate. None if it begins with another crate or with an imported name.
fn absolute(path: &[String], module: &Module, modules: &BTreeSet<Module>) -> Option<Module> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    if supers > 0 {
        let parent = module.get(..module.len().checked_sub(supers)?)?;
        return Some([parent, &path[supers..]].concat());
    }
    match path[0].as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        child => {
            let child = [module.as_slice(), &[child.to_owned()]].concat();
            modules.contains(&child).then(|| [module.as_slice(), path].concat())
        }
    }
}

/// The code before the unit tests, which come last.
fn without_tests(code: &str) -> &str {
    let mut at = 0;
    while let Some(found) = code[at..].find("#[cfg(test)]") {
        let start = at + found;
        let after = code[start + "#[cfg(test)]".len()..].trim_start();
        let head = after.split(['{', ';']).next().unwrap_or_default();
        if after.starts_with("mod ") && after[head.len()..].starts_with('{') {
            return &code[..start];
        }
        at = start + 1;
    }
    code
}

/// Every path in the code, with `use` trees expanded.
fn paths(code: &str) -> Vec<Vec<String>> {
    let (mut found, mut rest, mut before) = (Vec::new(), code, ' ');
    while let Some(first) = rest.chars().next() {
        if !is_word(first) {
            rest = &rest[first.len_utf8()..];
            before = if first.is_whitespace() { before } else { first };
            continue;
        }
        let word = word_of(rest);
        rest = &rest[word.len()..];
        let is_start = before != ':' && before != '.';
        before = 'a';
        match word {
            "use" => rest = use_tree(rest, &[], &mut found),
            "in" if code[..code.len() - rest.len()].ends_with("pub(in") => {
                rest = rest.split_once(')').map_or("", |(_, after)| after);
            }
            _ if is_start && rest.starts_with("::") => {
                let mut path = vec![word.to_owned()];
                while let Some(after) = rest.strip_prefix("::").filter(|after| after.starts_with(is_word)) {
                    path.push(word_of(after).to_owned());
                    rest = &after[word_of(after).len()..];
                }
                found.push(path);
            }
            _ => {}
        }
    }
    found
}

/// Adds the leaves of a `use` tree and returns the text after it.
fn use_tree<'t>(text: &'t str, prefix: &[String], found: &mut Vec<Vec<String>>) -> &'t str {
    let (mut path, mut rest) = (prefix.to_vec(), text.trim_start());
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            rest = group.trim_start();
            while !rest.starts_with('}') {
                let after = use_tree(rest, &path, found);
                assert!(after.len() < rest.len(), "cannot parse this use tree: {rest:.80}");
                rest = after.trim_start().trim_start_matches(',').trim_start();
            }
            return &rest[1..];
        }
        let word = if rest.starts_with('*') { "*" } else { word_of(rest) };
        path.push(word.to_owned());
        rest = &rest[word.len()..];
        match rest.strip_prefix("::") {
            Some(after) => rest = after.trim_start(),
            None => break,
        }
    }
    if path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    found.push(path);
    let renamed = rest.trim_start().strip_prefix("as ");
    renamed.map_or(rest, |after| &after[word_of(after).len()..])
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn word_of(text: &str) -> &str {
    &text[..text.find(|character| !is_word(character)).unwrap_or(text.len())]
}

/// The source without comments, and with empty string and character literals.
fn code_of(text: &str) -> String {
    let (mut code, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let raw = rest.strip_prefix('r').filter(|_| !code.ends_with(is_word));
        let hashes = raw.map_or(0, |raw| raw.len() - raw.trim_start_matches('#').len());
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if rest.starts_with("/*") {
            rest = rest.split_once("*/").map_or("", |(_, after)| after);
        } else if let Some(body) = raw.and_then(|raw| raw[hashes..].strip_prefix('"')) {
            let end = format!("\"{}", "#".repeat(hashes));
            rest = body.split_once(end.as_str()).map_or("", |(_, after)| after);
            code.push_str("\"\"");
        } else if first == '"' {
            rest = after_quote(&rest[1..], '"');
            code.push_str("\"\"");
        } else if first == '\'' && is_character(&rest[1..]) {
            rest = after_quote(&rest[1..], '\'');
            code.push_str("' '");
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

/// Whether a character literal follows the quote, rather than a lifetime.
fn is_character(after: &str) -> bool {
    after.starts_with('\\') || after.chars().nth(1) == Some('\'')
}

fn after_quote(mut text: &str, quote: char) -> &str {
    while let Some(first) = text.chars().next() {
        text = &text[first.len_utf8()..];
        if first == quote {
            break;
        }
        if first == '\\' {
            text = text.chars().next().map_or("", |escaped| &text[escaped.len_utf8()..]);
        }
    }
    text
}

fn module_of(src: &Path, file: &Path) -> Module {
    let inside = file.strip_prefix(src).unwrap().with_extension("");
    let mut path: Module = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if path == ["lib"] || path == ["main"] || path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    path
}

/// Every Rust file below a folder.
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The modules that `base::db` uses, in a small example crate.
    fn used(text: &str) -> Vec<String> {
        let modules = ["base", "base::db", "base::db::conn", "base::error", "records", "records::account"];
        let modules: BTreeSet<Module> = modules.map(module).into();
        used_by(&module("base::db"), text, &modules).into_iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn every_leaf_of_a_use_tree_is_a_use() {
        let tree = "use crate::{\n    base::{db::conn::{self, Conn as C}, error::Error},\n    records::account::*,\n};";
        assert_eq!(used(tree), ["base::db::conn", "base::error", "records::account"]);
        assert_eq!(used("use super::error;"), ["base::error"]);
        assert_eq!(used("use std::{fmt, io::{self, Write as _}};\nuse actix_web::web;"), [""; 0]);
    }

    #[test]
    fn a_re_export_and_a_call_of_a_child_are_uses() {
        assert_eq!(used("pub use self::conn::Conn;"), ["base::db::conn"]);
        assert_eq!(used("pub(crate) use conn::{Conn, run};"), ["base::db::conn"]);
        assert_eq!(used("fn f() { conn::open() }"), ["base::db::conn"]);
        assert_eq!(used("mod conn;"), [""; 0]);
    }

    #[test]
    fn a_path_in_the_code_is_a_use() {
        assert_eq!(used("fn f() -> crate::records::account::Role { super::super::base::error::new() }").len(), 2);
        assert_eq!(used("macro_rules! m { () => { $crate::base::error::Error } }"), ["base::error"]);
        assert_eq!(used("fn f<'a>(x: &'a str) -> char { let c = '\"'; crate::records::f(c) }"), ["records"]);
        assert_eq!(used("fn f() { other::conn::open(); self.conn::<u8>() }"), [""; 0]);
    }

    #[test]
    fn comments_strings_visibilities_and_tests_are_no_uses() {
        assert_eq!(used("// use crate::records::account;\n/* crate::records::account */"), [""; 0]);
        assert_eq!(
            used("const A: &str = \"crate::records::account \\\" \"; const B: &str = r#\"conn::x \"#;"),
            [""; 0]
        );
        assert_eq!(used("pub(in crate::records::account) fn f() {}"), [""; 0]);
        assert_eq!(
            used("#[cfg(test)]\nmod tests;\nuse super::error;\n#[cfg(test)]\nmod t {\n use crate::records; }"),
            ["base::error"]
        );
    }

    #[test]
    fn a_circle_is_found_whole_and_once() {
        let mut graph = Graph::default();
        for (from, to) in [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"), ("d", "b"), ("e", "a"), ("e", "d")] {
            graph.add(from, to);
        }
        assert_eq!(graph.circles(), [["b", "c", "d"]]);
        graph.add("d", "e");
        assert_eq!(graph.circles(), [["a", "b", "c", "d", "e"]]);
    }
}
