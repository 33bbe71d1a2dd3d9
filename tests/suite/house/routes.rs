//! All addresses are declared in a single list.

use std::path::{Path, PathBuf};

/// The file with the list.
const ROUTES: &str = "src/serve/routes.rs";
/// The login page and the page after it. The list imports these two addresses.
const LOGIN_AND_HOME: (&str, [&str; 2]) = ("src/web/return_to.rs", ["/login", "/dashboard"]);

#[test]
fn only_the_routes_list_addresses() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src/web", "src/serve", "src/records/session"] {
        for file in rust_files(&root.join(folder)) {
            let text = std::fs::read_to_string(&file).unwrap();
            let name = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            for address in addresses(&text) {
                let is_known = name == LOGIN_AND_HOME.0 && LOGIN_AND_HOME.1.contains(&address.as_str());
                if name != ROUTES && !is_known {
                    found.push(format!("{name}: {address}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// The string literals that name a path, outside tests and comments.
fn addresses(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let literals = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
    let is_address = |literal: &&str| {
        let mut letters = literal.chars();
        letters.next() == Some('/')
            && letters.next().is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '.')
    };
    literals.filter(is_address).map(str::to_owned).collect()
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
