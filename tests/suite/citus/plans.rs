//! Each statement of a request goes to one worker. The case does everything that people can do, and reads the plan of each
//! recorded statement. Then it runs the background jobs.

use super::{KIM, on_cluster};
use crate::{
    centre::{
        ALEX,
        query_plans::seed,
        statements_by_account::{added_app, asked_by_people, look_after},
    },
    support::{App, TestDb, add_user, citus::plan, statements::ran_alone},
};

/// Statements that read a few rows of all workers: owners and managers are found by their role, and the managers' dashboard
/// shows who has asked for help.
const OF_MANAGERS: [&str; 3] = [".role ", "\"role\" ", "FROM \"help_requests\" WHERE (\"help_requests\".\"asked_at\""];

/// Background work: each minute, a node reads the sessions of all its open pages.
const OF_OPEN_PAGES: &str = "SELECT \"sessions\".\"id\", \"sessions\".\"expires_at\", \"sessions\".\"ended_at\",";

#[test]
#[ignore = "needs Citus: see docs/scaling.md"]
fn each_statement_of_a_request_goes_to_one_worker() {
    let Some(db) = on_cluster(TestDb::on_citus()) else { return };
    if ran_alone(module_path!(), "each_statement_of_a_request_goes_to_one_worker") {
        return;
    }
    actix_web::rt::System::new().block_on(everything(&db));
}

async fn everything(db: &TestDb) {
    add_user(db, KIM, "owner");
    add_user(db, ALEX, "member");
    let app = added_app(db).await;
    let more = [
        ("SESSILE_SESSIONS_PER_ACCOUNT", "4"),
        ("SESSILE_PRUNE_INTERVAL", "0s"),
        ("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32"),
    ];
    let here = App::start(db, &more);
    seed(db, 200, 600);
    let asked = asked_by_people(db, here, &app).await;
    let (mut routed, mut wide) = (0, Vec::new());
    for statement in asked.iter().filter(|statement| is_of_tables(statement)) {
        // A statement without tasks runs on the coordinator. One that also reads the coordinator's tables has parts, each
        // with its own count.
        let shown = plan(db, statement);
        let tasks: Vec<&str> = shown.lines().filter_map(|line| line.trim().strip_prefix("Task Count: ")).collect();
        if !tasks.is_empty() && tasks.iter().all(|many| *many == "1") {
            routed += 1;
        } else if !tasks.is_empty() && !is_exception(statement) {
            wide.push(format!("{statement}\n{shown}"));
        }
    }
    assert!(wide.is_empty(), "{}", wide.join("\n\n"));
    assert!(routed >= 80, "{routed} statements of {}", asked.len());
    println!("{routed} statements of requests go to one worker");
    look_after(db, &app.app.id).await;
}

fn is_of_tables(statement: &str) -> bool {
    let words = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];
    words.iter().any(|word| statement.trim_start().starts_with(word)) && !statement.contains("pg_notify")
}

fn is_exception(statement: &str) -> bool {
    let is_of_managers = OF_MANAGERS.iter().any(|words| statement.contains(words));
    is_of_managers || is_settling(statement) || statement.starts_with(OF_OPEN_PAGES)
}

/// At the start each table is searched once for times in the future.
fn is_settling(statement: &str) -> bool {
    statement.contains("+ 5 * interval '1 second')") || statement.contains("AS portion")
}
