//! A page reads its data in at most two statements, the lookup of the session included. Each connection prepares such a
//! statement once.

use super::{KIM, signed_in};
use crate::support::{
    App, Engine, TestDb, add_user, on_both_engines,
    statements::{all_seen, cached, ran_alone},
};

on_both_engines! {
    a_page_reads_its_data_in_two_statements,
}

/// Pages of a signed-in person, and their number of statements.
const PAGES: [(&str, usize); 7] = [
    ("/api/session", 1),
    // People who manage others also read the requests for help. That statement is not counted: see `on_rows`.
    ("/dashboard", 2),
    ("/devices", 2),
    ("/activity", 2),
    ("/drafts", 2),
    ("/account", 2),
    ("/confirm", 1),
];

async fn a_page_reads_its_data_in_two_statements(db: TestDb) {
    let engine = if db.engine == Engine::Postgres { "postgres" } else { "sqlite" };
    if ran_alone(module_path!(), &format!("{engine}::a_page_reads_its_data_in_two_statements")) {
        return;
    }
    add_user(&db, KIM, "owner");
    // With the cache, most pages need one statement less.
    let app = App::start(&db, &[("SESSILE_SESSION_CACHE", "off"), ("SESSILE_PRUNE_INTERVAL", "0s")]);
    let mut kim = signed_in(&app, KIM, "Desk");
    let mut visitor = app.client();
    for (page, most) in PAGES {
        // The first request also notes that the key is used.
        assert_eq!(kim.get(page).status, 200, "{page}");
        all_seen();
        assert_eq!(kim.get(page).status, 200, "{page}");
        let asked = on_rows(all_seen());
        assert!((1..=most).contains(&asked.len()), "{page}: {asked:#?}");
        for statement in asked {
            is_prepared_once(&db, &statement);
        }
    }
    all_seen();
    assert_eq!(visitor.get("/login").status, 200);
    let asked = on_rows(all_seen());
    assert!(asked.len() <= 2, "/login: {asked:#?}");
}

/// The statements on rows of people, without their values. Leaves out what background jobs ask.
fn on_rows(statements: Vec<String>) -> Vec<String> {
    let tables = ["sessions", "devices", "audit", "accounts", "drafts", "apps"];
    let mut statements: Vec<String> = statements
        .into_iter()
        .map(|one| one.split(" -- binds").next().unwrap_or_default().to_owned())
        .filter(|one| tables.iter().any(|table| one.contains(table)))
        .collect();
    // Jobs at the start look for times in the future, and for accounts without their search text.
    let is_of_a_job =
        |one: &str| ["UPDATE", " AS found FROM ", " AS portion", "\"search\" ="].iter().any(|part| one.contains(part));
    statements.retain(|one| !is_of_a_job(one));
    statements
}

fn is_prepared_once(db: &TestDb, statement: &str) {
    // Reads one ended session of each device, with a LIMIT of diesel's.
    let is_list_of_devices = statement.contains("IS NOT NULL)) ORDER BY");
    assert!(cached().iter().any(|one| one.trim() == statement.trim()), "prepared again on each use: {statement}");
    // SQLite compiles a statement again on each use if its LIMIT is a parameter.
    let is_compiled_again = db.engine == Engine::Sqlite && statement.contains("LIMIT ?");
    assert!(!is_compiled_again || is_list_of_devices, "compiled again on each use: {statement}");
}
