//! The rotation of the signing key on two nodes, following docs/operating.md step by step. Nobody is signed out.

use sessile::base::keys::Keys;

use super::{KIM, ask};
use crate::support::{Client, PASSWORD, Server, TestDb, add_user, on_both_engines};

on_both_engines! {
    keys_are_rotated_on_two_nodes_without_signing_anybody_out,
    a_node_without_the_signing_key_is_refused,
}

async fn keys_are_rotated_on_two_nodes_without_signing_anybody_out(db: TestDb) {
    add_user(&db, KIM, "owner");
    let mut nodes = [Server::start(&db, &[]), Server::start(&db, &[])];
    let mut people = vec![signed_in(&nodes[0])];
    let old = std::fs::read_to_string(db.key_file()).unwrap();
    let new = random_line();

    // Each step restarts one node after the other. In between, the nodes have different files, and everything still
    // works.
    let steps = [
        ("the new key is added, second", format!("{old}{new}\n")),
        ("the new key signs", format!("{new}\n{old}")),
        ("the old key is removed", format!("{new}\n")),
    ];
    for (step, file) in steps {
        if step.contains("removed") {
            // By this step every cookie has been renewed, or its session has expired.
            db.sql("UPDATE sessions SET last_activity = INSTANT(-600)");
            everybody_is_signed_in(&mut people, &nodes, step);
        }
        let forms: Vec<_> = nodes.iter().map(form_before_login).collect();
        std::fs::write(db.key_file(), file).unwrap();
        for n in 0..nodes.len() {
            restart(&mut nodes, n, &db);
            everybody_is_signed_in(&mut people, &nodes, step);
            let newcomer = signed_in(&nodes[n]);
            people.push(newcomer);
            everybody_is_signed_in(&mut people, &nodes, step);
        }
        if !step.contains("removed") {
            for (mut visitor, token) in forms {
                visitor = at(&nodes[1], &visitor);
                let fields = [("csrf", token.as_str()), ("email", KIM), ("password", PASSWORD)];
                assert_eq!(visitor.form("/login", &fields).status, 303, "a form from before the step: {step}");
            }
        }
    }
    assert_eq!(ask(&db, &["session", "list", "--email", KIM], "").code, Some(0));
}

async fn a_node_without_the_signing_key_is_refused(db: TestDb) {
    add_user(&db, KIM, "owner");
    let mut nodes = [Server::start(&db, &[]), Server::start(&db, &[])];
    signed_in(&nodes[0]);
    let old = std::fs::read_to_string(db.key_file()).unwrap();
    let (new, unknown) = (random_line(), random_line());
    let stored = || db.sql("SELECT key_fingerprint FROM instance");
    let fingerprint = |file: &str| {
        let path = db.folder.join("judged");
        std::fs::write(&path, file).unwrap();
        Keys::read_or_make(&path).unwrap().fingerprint().to_owned()
    };
    assert_eq!(stored(), fingerprint(&old));
    refuse_a_start_with(&db, &format!("{unknown}\n"));
    assert_eq!(stored(), fingerprint(&old), "a refused node changes nothing");

    std::fs::write(db.key_file(), format!("{old}{new}\n")).unwrap();
    restart(&mut nodes, 0, &db);
    assert_eq!(stored(), fingerprint(&old), "a second key signs nothing");
    restart(&mut nodes, 1, &db);
    std::fs::write(db.key_file(), format!("{new}\n{old}")).unwrap();
    restart(&mut nodes, 0, &db);
    assert_eq!(stored(), fingerprint(&new));
    // A node with only the old key or an unknown key could not verify the other nodes' cookies.
    refuse_a_start_with(&db, &old);
    refuse_a_start_with(&db, &format!("{unknown}\n"));
    assert_eq!(stored(), fingerprint(&new));
}

fn refuse_a_start_with(db: &TestDb, file: &str) {
    let right = std::fs::read_to_string(db.key_file()).unwrap();
    std::fs::write(db.key_file(), file).unwrap();
    ask(db, &["serve"], "").refused(&["SESSILE_KEY_FILE"]);
    std::fs::write(db.key_file(), right).unwrap();
}

/// A line in the format of `head -c 64 /dev/urandom | base64 -w0`.
fn random_line() -> String {
    let out = std::process::Command::new("sh").args(["-c", "head -c 64 /dev/urandom | base64 -w0"]).output().unwrap();
    assert!(out.status.success() && out.stdout.ends_with(b"=="), "{out:?}");
    String::from_utf8(out.stdout).unwrap()
}

fn restart(nodes: &mut [Server; 2], n: usize, db: &TestDb) {
    let started = Server::start(db, &[]);
    assert_eq!(std::mem::replace(&mut nodes[n], started).terminate(), Some(0));
}

fn signed_in(node: &Server) -> Client {
    let mut client = node.client();
    client.log_in(KIM);
    client
}

fn form_before_login(node: &Server) -> (Client, String) {
    let mut visitor = node.client();
    let token = visitor.form_token("/login");
    (visitor, token)
}

fn everybody_is_signed_in(people: &mut [Client], nodes: &[Server; 2], step: &str) {
    for person in people {
        for node in nodes {
            *person = at(node, person);
            assert_eq!(person.get("/api/session").status, 200, "{step}");
        }
    }
}

/// The client, moved to another node.
fn at(node: &Server, client: &Client) -> Client {
    let mut there = node.client();
    there.cookies = client.cookies.clone();
    there
}
