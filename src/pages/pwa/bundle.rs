//! Joins the service worker and the modules that it imports into one classic script. Called by `pwa`.
//!
//! Browsers fetch a module worker and its imports without cookies, so a proxy with its own sign-in blocks them. They
//! fetch a classic worker with cookies. Older browsers support only classic workers.
//!
//! All modules share one function scope, in dependency order, so bindings stay live across modules.
//!
//! Invariant: no two modules declare the same top-level name, and no module renames an import.

use std::collections::BTreeSet;

/// Returns the joined script of `entry`. `text_of` returns the text of the module at an address.
///
/// # Errors
/// A one-line message if a module is missing or has a form that cannot be joined.
pub fn bundle<'a>(entry: &'a str, text_of: impl Fn(&str) -> Option<&'a str>) -> Result<String, String> {
    let mut joiner = Joiner { text_of, joined: BTreeSet::new(), names: BTreeSet::new(), script: String::new() };
    joiner.add(entry)?;
    Ok(format!("(() => {{\n\"use strict\";\n{}}})();\n", joiner.script))
}

struct Joiner<F> {
    text_of: F,
    joined: BTreeSet<String>,
    names: BTreeSet<String>,
    script: String,
}

impl<'a, F: Fn(&str) -> Option<&'a str>> Joiner<F> {
    fn add(&mut self, text: &'a str) -> Result<(), String> {
        for address in text.lines().filter_map(imported) {
            let address = address?;
            if self.joined.insert(address.to_owned()) {
                let module = (self.text_of)(address).ok_or_else(|| format!("{address} is imported and not there"))?;
                self.add(module)?;
            }
        }
        for line in text.lines().filter(|line| imported(line).is_none()) {
            self.add_line(line)?;
        }
        Ok(())
    }

    fn add_line(&mut self, line: &str) -> Result<(), String> {
        let line = line.strip_prefix("export ").unwrap_or(line);
        if line.contains("import(") || line.starts_with("default ") {
            return Err(format!("a worker cannot hold: {line}"));
        }
        if let Some(name) = declared(line)
            && !self.names.insert(name.to_owned())
        {
            return Err(format!("two modules of the worker declare {name}"));
        }
        self.script.push_str(line);
        self.script.push('\n');
        Ok(())
    }
}

/// The address in a line that imports or re-exports from a module.
fn imported(line: &str) -> Option<Result<&str, String>> {
    if !line.starts_with("import ") && !line.starts_with("export {") {
        return None;
    }
    let address = line.split_once(" from \"").and_then(|(names, rest)| {
        let is_plain = names.contains('{') && names.ends_with('}') && !names.contains(" as ");
        rest.strip_suffix("\";").filter(|_| is_plain)
    });
    Some(address.ok_or_else(|| format!("a worker cannot hold: {line}")))
}

/// The name that a top-level line declares.
fn declared(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let rest =
        ["const ", "let ", "class ", "function* ", "function "].iter().find_map(|word| line.strip_prefix(word))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "import { b } from \"/b.js\";\nexport { c } from \"/c.js\";\nexport const a = b + 1;\n";
    const B: &str = "import { c } from \"/c.js\";\nexport async function b() {\n  const a = c;\n}\n";
    const C: &str = "export let c = 1;\n";

    fn text_of(address: &str) -> Option<&'static str> {
        [("/b.js", B), ("/c.js", C)].into_iter().find(|(name, _)| *name == address).map(|(_, text)| text)
    }

    #[test]
    fn each_module_appears_once_and_after_its_imports() {
        let script = bundle(A, text_of).unwrap();
        let inside = "let c = 1;\nasync function b() {\n  const a = c;\n}\nconst a = b + 1;\n";
        assert_eq!(script, format!("(() => {{\n\"use strict\";\n{inside}}})();\n"));
    }

    #[test]
    fn a_module_that_cannot_be_joined_is_named_in_the_error() {
        for (text, words) in [
            ("import { d } from \"/d.js\";", "/d.js is imported and not there"),
            ("import { c } from \"/c.js\";\nconst c = 2;", "two modules of the worker declare c"),
            ("import { c as d } from \"/c.js\";", "a worker cannot hold: import { c as d } from \"/c.js\";"),
            ("import * as c from \"/c.js\";", "a worker cannot hold: import * as c from \"/c.js\";"),
            ("await import(\"/c.js\");", "a worker cannot hold: await import(\"/c.js\");"),
            ("export default 1;", "a worker cannot hold: default 1;"),
        ] {
            assert_eq!(bundle(text, text_of).unwrap_err(), words);
        }
    }
}
