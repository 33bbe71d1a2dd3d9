//! Gives static files names that contain a hash of their content, and rewrites the references between files to these
//! names. Called only by `build.rs` and by its own tests.
//!
//! Invariant: a file's fingerprint also covers the files that it refers to. An address therefore means the same content
//! in every build.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::references::{self, ROOT};

/// A static file with its fingerprinted path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// Such as `/static/css/base.3f2a04c1d9.css`.
    pub path: String,
    /// The first ten hexadecimal digits of the SHA-256 of the content.
    pub fingerprint: String,
    /// The content, in which references are fingerprinted paths.
    pub content: Vec<u8>,
}

/// Fingerprints all `files`. The keys of both maps are names below the root, such as `css/base.css`. References between
/// files (see `references`) become absolute paths, so they work wherever the file is served.
///
/// # Errors
/// One line, if a reference leads to a missing file or if references form a cycle.
pub fn print_all(files: &BTreeMap<String, Vec<u8>>) -> Result<BTreeMap<String, Printed>, String> {
    let mut press = Press { files, printed: BTreeMap::new(), under_way: Vec::new() };
    for name in files.keys() {
        press.print(name)?;
    }
    Ok(press.printed)
}

struct Press<'a> {
    files: &'a BTreeMap<String, Vec<u8>>,
    printed: BTreeMap<String, Printed>,
    under_way: Vec<String>,
}

impl Press<'_> {
    /// Fingerprints the files that `name` refers to, then the file itself, and returns its path.
    fn print(&mut self, name: &str) -> Result<String, String> {
        if let Some(printed) = self.printed.get(name) {
            return Ok(printed.path.clone());
        }
        if self.under_way.iter().any(|other| other == name) {
            return Err(format!("static files refer in a circle: {} -> {name}", self.under_way.join(" -> ")));
        }
        self.under_way.push(name.to_owned());
        let content = self.rewritten(name)?;
        self.under_way.pop();

        let digest = Sha256::digest(&content);
        let fingerprint: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
        let path = match name.rsplit_once('.').filter(|(_, extension)| !extension.contains('/')) {
            Some((stem, extension)) => format!("{ROOT}{stem}.{fingerprint}.{extension}"),
            None => format!("{ROOT}{name}.{fingerprint}"),
        };
        let printed = Printed { path: path.clone(), fingerprint, content };
        self.printed.insert(name.to_owned(), printed);
        Ok(path)
    }

    fn rewritten(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let content = self.files.get(name).cloned().unwrap_or_default();
        let find = match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("js" | "mjs") => references::in_script,
            Some("css") => references::in_style,
            Some("webmanifest") => references::in_manifest,
            _ => return Ok(content),
        };
        let text = String::from_utf8(content).map_err(|_| format!("static/{name} is not UTF-8"))?;
        let mut rewritten = String::with_capacity(text.len());
        let mut copied = 0;
        for reference in find(&text) {
            let written = text.get(reference.clone()).unwrap_or_default();
            let target = resolve(name, written)
                .filter(|target| self.files.contains_key(target))
                .ok_or_else(|| format!("static/{name} refers to {written}, which is not in static/"))?;
            rewritten.push_str(text.get(copied..reference.start).unwrap_or_default());
            rewritten.push_str(&self.print(&target)?);
            copied = reference.end;
        }
        rewritten.push_str(text.get(copied..).unwrap_or_default());
        Ok(rewritten.into_bytes())
    }
}

/// The name of the file that `reference` in the file `name` leads to.
fn resolve(name: &str, reference: &str) -> Option<String> {
    let (mut segments, reference) = match reference.strip_prefix(ROOT) {
        Some(absolute) => (Vec::new(), absolute),
        None => (name.split('/').collect(), reference),
    };
    segments.pop();
    for segment in reference.split('/') {
        match segment {
            "." => {}
            ".." => {
                segments.pop()?;
            }
            _ => segments.push(segment),
        }
    }
    Some(segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(files: &[(&str, &str)]) -> Result<BTreeMap<String, Printed>, String> {
        print_all(&files.iter().map(|(name, content)| ((*name).into(), (*content).into())).collect())
    }

    /// The content of the last file, with each fingerprinted path replaced by its file's name.
    fn rewritten(files: &[(&str, &str)]) -> String {
        let printed = print(files).unwrap();
        let content = printed[files.last().unwrap().0].content.clone();
        printed.iter().fold(String::from_utf8(content).unwrap(), |text, (name, file)| {
            text.replace(&file.path, &format!("<{name}>"))
        })
    }

    #[test]
    fn a_name_holds_the_hash_of_the_content() {
        let printed = print(&[("css/a.b.css", "x{}"), ("LICENSE", "free"), ("v1.0/file", "")]).unwrap();
        let hash: String = Sha256::digest("x{}").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(printed["css/a.b.css"].path, format!("/static/css/a.b.{}.css", &hash[..10]));
        assert_eq!(printed["css/a.b.css"].fingerprint, hash[..10]);
        assert!(printed["LICENSE"].path.starts_with("/static/LICENSE."));
        assert_eq!(printed["v1.0/file"].path, "/static/v1.0/file.e3b0c44298");
        assert!(print(&[]).unwrap().is_empty());
    }

    #[test]
    fn files_name_each_other_by_their_paths() {
        let files = [("js/x.js", ""), ("js/deep/y.js", ""), ("icons/i.png", ""), ("css/b.css", "")];
        for (name, written, wanted) in [
            ("js/a.js", "import './x.js'", "import '<js/x.js>'"),
            ("js/deep/a.mjs", "export * from './.././x.js'", "export * from '<js/x.js>'"),
            ("sw.js", "import './js/deep/y.js'; '/static/css/b.css?v'", "import '<js/deep/y.js>'; '<css/b.css>?v'"),
            (
                "css/a.css",
                "@import 'b.css'; a{b:url(../icons/i.png#x)}",
                "@import '<css/b.css>'; a{b:url(<icons/i.png>#x)}",
            ),
            ("a.webmanifest", "\"/static/icons/i.png\"", "\"<icons/i.png>\""),
            ("a.txt", "import './js/x.js'", "import './js/x.js'"),
        ] {
            assert_eq!(rewritten(&[&files[..], &[(name, written)]].concat()), wanted);
        }
    }

    #[test]
    fn a_change_changes_the_name_of_every_file_that_leads_to_it() {
        let name = |leaf| {
            let files = [("a.js", "import './b.js'"), ("b.js", "import './c.js'"), ("c.js", leaf), ("d.js", "")];
            let printed = print(&files).unwrap();
            ["a.js", "d.js"].map(|name| printed[name].path.clone())
        };
        let ([a, d], [changed, unchanged]) = (name("1"), name("2"));
        assert_ne!(a, changed);
        assert_eq!(d, unchanged);
    }

    #[test]
    fn a_cycle_and_a_reference_to_a_missing_file_are_refused() {
        let circle = [("a.js", "import './b.js'"), ("b.js", "import './c.js'"), ("c.js", "import './a.js'")];
        assert_eq!(print(&circle).unwrap_err(), "static files refer in a circle: a.js -> b.js -> c.js -> a.js");
        assert!(print(&[("a.js", "'/static/a.js'")]).unwrap_err().contains("circle"));
        for (name, content) in [
            ("a.js", "import './b.js'"),
            ("a.js", "import '../a.js'"),
            ("a.js", "'/static/b.js'"),
            ("a.css", "@import 'b.css'"),
            ("a.css", "x{y:url(b.png)}"),
            ("a.webmanifest", "\"/static/b.png\""),
        ] {
            let refusal = print(&[(name, content)]).unwrap_err();
            assert!(refusal.contains("which is not in static/"), "{content}: {refusal}");
        }
    }
}
