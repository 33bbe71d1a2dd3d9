//! Checks the files for operators: the dashboard and docs/operating.md name existing metrics, and systemd accepts the
//! unit.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::{Engine, Server, TestDb, add_user};

#[test]
fn the_dashboard_shows_only_existing_metrics() {
    let shown: serde_json::Value = serde_json::from_str(&text("ops/grafana.json")).expect("JSON");
    let panels = shown["panels"].as_array().expect("panels");
    let expressions: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().expect("targets"))
        .map(|target| target["expr"].as_str().expect("an expression"))
        .collect();
    let (samples, families) = exposed();
    assert!(expressions.iter().all(|expression| !names(expression).is_empty()), "{expressions:#?}");
    let named: BTreeSet<String> = expressions.iter().flat_map(|expression| names(expression)).collect();
    let unknown: Vec<_> = named.difference(&samples).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not among {samples:#?}");
    let named: BTreeSet<String> = named.iter().map(|name| family(name, &families)).collect();
    assert_eq!(families.difference(&named).collect::<Vec<_>>(), [""; 0], "no panel shows these metrics");
}

#[test]
fn the_docs_list_every_metric_and_no_other() {
    let operating = text("docs/operating.md");
    let listed: BTreeSet<String> = operating
        .lines()
        .filter_map(|line| line.strip_prefix("| `sessile_")?.split(['`', '{']).next())
        .map(full)
        .collect();
    assert_eq!(listed, exposed().1);
}

#[test]
#[ignore = "needs systemd-analyze: run ./scripts/test"]
fn systemd_accepts_the_unit_and_its_sandbox() {
    let db = TestDb::new(Engine::Sqlite);
    let unit = db.folder.join("sessile.service");
    let ours = text("ops/sessile.service").replace("/usr/local/bin/sessile", env!("CARGO_BIN_EXE_sessile"));
    assert!(ours.lines().any(|line| line == "LimitCORE=0"), "a core dump would write the keys to disk");
    std::fs::write(&unit, ours).unwrap();
    // The exposure of the whole sandbox is 1.2. Without one of its directives it is higher.
    for arguments in [&["verify"][..], &["security", "--offline=true", "--threshold=12", "--no-pager"]] {
        let out = Command::new("systemd-analyze").args(arguments).arg(&unit).output().expect("systemd-analyze");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
        assert_eq!(String::from_utf8_lossy(&out.stderr), "", "{arguments:?}");
    }
}

#[test]
fn the_image_is_built_with_the_rust_of_the_crate() {
    let image = format!("FROM rust:{}-slim AS build", env!("CARGO_PKG_RUST_VERSION"));
    assert!(text("ops/Containerfile").lines().any(|line| line == image), "{image}");
}

#[test]
fn images_and_packages_name_only_settings_that_exist() {
    let db = TestDb::new(Engine::Sqlite);
    let mut program = crate::support::command(&db, &[]);
    let help = program.args(["serve", "--help"]).output().expect("the help").stdout;
    let help = String::from_utf8(help).expect("text");
    for path in ["ops/Containerfile", "ops/compose.yaml", "ops/sessile.service", "ops/debian/sessile.env"] {
        let text = text(path);
        let after = text.split("SESSILE_").skip(1);
        let named =
            after.map(|rest| rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap_or_default());
        let unknown: Vec<_> = named.filter(|name| !help.contains(&format!("SESSILE_{name}]"))).collect();
        assert!(unknown.is_empty(), "{path}: {unknown:?}");
    }
}

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file")
}

fn full(name: &str) -> String {
    format!("sessile_{name}")
}

/// The names of all samples and of their metric families, from a server that has handled a login.
fn exposed() -> (BTreeSet<String>, BTreeSet<String>) {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, "kim@example.com", "owner");
    let server = Server::start(&db, &[]);
    server.client().log_in("kim@example.com");
    let text = server.client().get("/metrics").body;
    let samples = text.lines().filter(|line| !line.starts_with('#')).flat_map(names).collect();
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    (samples, families.map(str::to_owned).collect())
}

/// The metrics in an expression.
fn names(expression: &str) -> Vec<String> {
    let after = expression.split("sessile_").skip(1);
    after
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default())
        .map(full)
        .collect()
}

fn family(sample: &str, families: &BTreeSet<String>) -> String {
    let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| sample.strip_suffix(end));
    of_histogram.filter(|name| families.contains(*name)).unwrap_or(sample).to_owned()
}
