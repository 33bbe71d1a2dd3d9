//! Modules import only from lower layers, and never in a cycle.

use std::path::{Path, PathBuf};

use super::module_graph::{Graph, Module, rust_files};

/// Each layer imports only from itself and the layers before it.
const LAYERS: [&str; 7] = ["base", "records", "actions", "web", "pages", "serve", "cli"];

/// Each kind of record imports only from itself and the kinds before it.
const RECORDS: [&str; 15] = [
    "news",
    "audit",
    "device",
    "throttle",
    "account",
    "link",
    "mail",
    "session",
    "second_factor",
    "draft",
    "app",
    "hand_over",
    "help",
    "hub",
    "instance",
];

#[test]
fn imports_only_point_to_lower_layers() {
    assert_eq!(wrong_ways(&Graph::read(&src())), [""; 0]);
}

#[test]
fn modules_have_no_import_cycles() {
    let circles = Graph::read(&src()).circles();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn every_module_belongs_to_a_layer() {
    let graph = Graph::read(&src());
    for module in graph.uses.keys() {
        assert!(LAYERS.contains(&module[0].as_str()), "{module:?} is in no known layer");
        if module[0] == "records" && module.len() > 1 {
            assert!(RECORDS.contains(&module[1].as_str()), "{module:?} is not a known kind of record");
        }
    }
}

#[test]
fn cycles_and_wrong_imports_are_detected() {
    let mut graph = Graph::read(&src());
    let noticed = |graph: &Graph, one: &str, other: &str| {
        graph.circles().iter().any(|circle| [one, other].iter().all(|name| circle.contains(&(*name).to_owned())))
    };
    assert!(!noticed(&graph, "base::text", "base::settings"));
    graph.add("base::text", "base::settings");
    assert!(noticed(&graph, "base::text", "base::settings"), "base::settings already imports base::text");
    for (from, to) in [
        ("base::text", "records::account"),
        ("records::audit", "records::session"),
        ("web::layout", "pages::login"),
        ("pages::login", "pages::devices"),
        ("serve::run", "cli::doctor"),
    ] {
        let expected = format!("{from} imports {to}");
        assert!(!wrong_ways(&graph).contains(&expected), "{expected}");
        graph.add(from, to);
        assert!(wrong_ways(&graph).contains(&expected), "{expected}");
    }
}

#[test]
fn only_db_depends_on_the_engine() {
    // Not `Sqlite` and `Pg`: derives name both to check a struct against each engine.
    let telling = [
        "Engine::Sqlite",
        "Engine::Postgres",
        "Conn::Sqlite",
        "Conn::Postgres",
        "DatabaseUrl::",
        "SqliteConnection",
        "AsyncPgConnection",
    ];
    for file in rust_files(&src()) {
        let place = file.strip_prefix(src()).unwrap();
        if ["base/db", "base/database_url", "base/settings"].iter().any(|folder| place.starts_with(folder)) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let found: Vec<_> = telling.iter().filter(|word| text.contains(**word)).collect();
        assert!(found.is_empty(), "{}: {found:?}", file.display());
    }
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every import from a later layer, a later kind of record or another page.
fn wrong_ways(graph: &Graph) -> Vec<String> {
    let wrong = graph.edges().filter(|(from, to)| is_wrong_way(from, to));
    wrong.map(|(from, to)| format!("{} imports {}", from.join("::"), to.join("::"))).collect()
}

fn is_wrong_way(from: &Module, to: &Module) -> bool {
    let place = |names: &[&str], module: &Module, depth: usize| {
        names.iter().position(|name| module.get(depth).is_some_and(|part| part == name))
    };
    let (own, theirs) = (place(&LAYERS, from, 0), place(&LAYERS, to, 0));
    if own != theirs {
        return theirs > own;
    }
    match from[0].as_str() {
        "records" => from.len() > 1 && place(&RECORDS, to, 1) > place(&RECORDS, from, 1),
        "pages" => from.len() > 1 && to.len() > 1 && from[1] != to[1],
        _ => false,
    }
}
