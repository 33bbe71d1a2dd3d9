//! All addresses are declared in a single list, and only the list registers handlers.

use std::path::{Path, PathBuf};

/// The file with the list.
const ROUTES: &str = "src/serve/routes.rs";
/// The login page and the page after it. The list imports these two addresses.
const LOGIN_AND_HOME: (&str, [&str; 2]) = ("src/web/return_to.rs", ["/login", "/dashboard"]);

#[test]
fn only_the_routes_list_addresses() {
    let mut found = Vec::new();
    for folder in ["src/web", "src/serve", "src/records"] {
        for (name, code) in code_in(folder) {
            for address in addresses(&code) {
                let is_known = name == LOGIN_AND_HOME.0 && LOGIN_AND_HOME.1.contains(&address.as_str());
                if name != ROUTES && !is_known {
                    found.push(format!("{name}: {address}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_the_routes_register_handlers() {
    let registering: Vec<String> =
        code_in("src").into_iter().filter(|(_, code)| registers(code)).map(|(name, _)| name).collect();
    assert_eq!(registering, [ROUTES]);
}

#[test]
fn addresses_and_handlers_outside_the_list_are_noticed() {
    for address in ["/healthz", "/api/", "/.well-known", "/{tail:.*}"] {
        for code in [format!("path.starts_with(\"{address}\")"), format!("&[(\"{address}\", Kind::Api)]")] {
            assert_eq!(addresses(&code), [address], "{code}");
        }
    }
    for harmless in ["// \"/healthz\"", "\"text/html\"", "\"/\"", "\"https://example.com/path\""] {
        assert_eq!(addresses(harmless), [""; 0], "{harmless}");
    }
    for code in [
        "app.route(\"/x\", web::get())",
        "web::resource(\"/x\")",
        "web::scope(\"/x\")",
        "#[post(\"/x\")]",
        "app.service(resource)",
    ] {
        assert!(registers(code), "{code}");
    }
    assert!(!registers("web::scope(\"\")\n.service(signed_in)") && !registers("self.route(request)"));
    let code = "fn a() {}\n#[cfg(test)]\nuse b;\nfn c() { \"/d\" }\n#[cfg(test)]\nmod tests {\n\"/e\" }";
    assert_eq!(addresses(without_tests(code)), ["/d"]);
}

/// The string literals that name a path, outside comments.
fn addresses(code: &str) -> Vec<String> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let literals = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
    let is_address = |literal: &&str| {
        let mut letters = literal.chars();
        letters.next() == Some('/')
            && letters.next().is_some_and(|one| one.is_ascii_alphanumeric() || ".{_".contains(one))
    };
    literals.filter(is_address).map(str::to_owned).collect()
}

/// Whether the code registers a handler. The application itself adds one scope without an address.
fn registers(code: &str) -> bool {
    let code = code.replace("web::scope(\"\")", "").replace(".service(signed_in)", "");
    let calls = [
        ".route(\"",
        "web::resource(",
        "web::scope(",
        ".service(",
        "#[get(",
        "#[post(",
        "#[put(",
        "#[patch(",
        "#[delete(",
    ];
    calls.iter().any(|call| code.contains(call))
}

/// The code of each file in a folder, without its tests, with the file's path.
fn code_in(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = rust_files(&root.join(folder)).into_iter().filter(|file| !file.ends_with("tests.rs"));
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        (file.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), without_tests(&text).to_owned())
    };
    files.map(read).collect()
}

/// The code before the test module, which stands at the end of a file.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
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
