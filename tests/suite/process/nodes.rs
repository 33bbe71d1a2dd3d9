//! Several nodes that share only the database and the key file.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Ended, KIM, ask, assert_ended};
use crate::support::{Client, Engine, PASSWORD, Server, TestDb, add_user};

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn six_nodes_can_start_at_once_on_an_empty_database() {
    nodes_that_start_at_once_work_as_one(&TestDb::new(Engine::Postgres), 6);
}

#[test]
fn two_servers_can_start_at_once_on_one_file() {
    nodes_that_start_at_once_work_as_one(&TestDb::new(Engine::Sqlite), 2);
}

fn nodes_that_start_at_once_work_as_one(db: &TestDb, many: usize) {
    let nodes = start_at_once(db, many);
    for node in &nodes {
        assert_eq!(node.client().get("/healthz").status, 200);
    }
    let keys = std::fs::read_to_string(db.key_file()).unwrap();
    assert_eq!(keys.lines().count(), 1, "one key for all nodes");
    assert_eq!(std::fs::metadata(db.key_file()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(drafts_beside(Path::new(&db.key_file())), [""; 0]);

    // Until there is an owner, each node's setup link works on any node.
    let links: Vec<String> = nodes.iter().map(Server::setup_token).collect();
    for (n, link) in links.iter().enumerate() {
        let another = &nodes[(n + 1) % many];
        assert_eq!(another.client().get(&format!("/setup?token={link}")).status, 200);
    }
    add_user(db, KIM, "owner");
    for (node, link) in nodes.iter().zip(&links) {
        assert_eq!(node.client().get(&format!("/setup?token={link}")).status, 403);
    }

    let mut client = nodes[0].client();
    let id = client.log_in(KIM).json()["session"]["id"].clone();
    for node in &nodes {
        let answer = on(node, &client).get("/api/session");
        assert_eq!((answer.status, &answer.json()["session"]["id"]), (200, &id), "{answer:?}");
    }
    // After an end is acknowledged, it is visible on all nodes.
    let mut last = on(&nodes[many - 1], &client);
    assert_eq!(last.send("DELETE", "/api/session", &[], b"").status, 204);
    for node in &nodes {
        assert_ended(&on(node, &client).get("/api/session"), "logged-out");
    }
}

/// Each login ends the other account's session and looks for excess sessions of its own account.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn logins_over_one_anothers_sessions_never_deadlock() {
    let db = TestDb::new(Engine::Postgres);
    let people = [KIM, "sam@example.com"];
    add_user(&db, people[0], "owner");
    add_user(&db, people[1], "member");
    let nodes = start_at_once(&db, 2);
    for round in 0..25 {
        let mut clients = [nodes[0].client(), nodes[1].client()];
        clients[0].log_in(people[0]);
        clients[1].log_in(people[1]);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let logins = clients.iter_mut().zip([people[1], people[0]]);
            let logins: Vec<_> =
                logins.map(|(client, email)| scope.spawn(move || client.try_log_in(email, PASSWORD).status)).collect();
            logins.into_iter().map(|login| login.join().unwrap()).collect()
        });
        assert_eq!(statuses, [200, 200], "round {round}");
    }
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn six_migrations_at_once_all_succeed() {
    migrations_at_once_all_succeed(&TestDb::new(Engine::Postgres));
}

#[test]
fn six_migrations_at_once_of_one_file_all_succeed() {
    migrations_at_once_all_succeed(&TestDb::new(Engine::Sqlite));
}

fn migrations_at_once_all_succeed(db: &TestDb) {
    let ended: Vec<Ended> = std::thread::scope(|scope| {
        let migrations: Vec<_> = (0..6).map(|_| scope.spawn(|| ask(db, &["migrate"], ""))).collect();
        migrations.into_iter().map(|migration| migration.join().unwrap()).collect()
    });
    for migration in ended {
        assert_eq!(migration.said(), "");
    }
    assert_eq!(ask(db, &["migrate"], "").said(), "", "nothing is left to migrate");
    let folder = if db.engine == Engine::Postgres { "migrations/postgres" } else { "migrations/sqlite" };
    let known = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap().count();
    let applied = db.sql("SELECT count(*) FROM __diesel_schema_migrations WHERE version < '9'");
    assert_eq!(applied, known.to_string());
}

fn start_at_once(db: &TestDb, many: usize) -> Vec<Server> {
    std::thread::scope(|scope| {
        let starting: Vec<_> = (0..many).map(|_| scope.spawn(|| Server::start(db, &[]))).collect();
        starting.into_iter().map(|node| node.join().unwrap()).collect()
    })
}

/// The client, moved to another node.
fn on(node: &Server, client: &Client) -> Client {
    let mut there = node.client();
    there.cookies = client.cookies.clone();
    there
}

/// Temporary files left over from creating the key file.
fn drafts_beside(key_file: &Path) -> Vec<String> {
    let stem = key_file.file_stem().unwrap().to_string_lossy().into_owned();
    std::fs::read_dir(key_file.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(&stem) && Some(name.as_str()) != key_file.file_name().and_then(|n| n.to_str()))
        .collect()
}
