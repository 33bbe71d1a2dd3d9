//! Announcements: an end, a rotation or a change reaches the open pages on every node at once. A listener keeps no
//! session alive and delays nothing.

#![expect(clippy::print_stdout, reason = "times and counts, for whoever asks cargo to show them")]

mod announcements;
mod commands_beside_server;
mod hub;
mod listener;
pub mod stream;
mod streams;
mod time_to_be_told;

use std::time::Duration;

use serde_json::Value;

use crate::support::{App, Client, Served, Server, TestDb, add_user, sessile};

const KIM: &str = "kim@example.com";
const SAM: &str = "sam@example.com";

/// The longest time until an open page learns of an end.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A signed-in client.
fn signed_in(server: &Served, email: &str) -> Client {
    let mut client = server.client();
    client.log_in(email);
    client
}

fn session_id(client: &mut Client) -> String {
    client.get("/api/session").json()["session"]["id"].as_str().expect("an id").to_owned()
}

fn serve(db: &TestDb) -> App {
    add_user(db, KIM, "owner");
    add_user(db, SAM, "member");
    App::start(db, &[("SESSILE_SESSIONS_PER_ACCOUNT", "0")])
}

/// Like [`serve`], but in a separate process.
fn serve_process(db: &TestDb) -> Server {
    add_user(db, KIM, "owner");
    add_user(db, SAM, "member");
    Server::start(db, &[("SESSILE_SESSIONS_PER_ACCOUNT", "0")])
}

/// Runs a command, which must succeed.
fn done(db: &TestDb, args: &[&str]) {
    let out = sessile(db, args, "");
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

fn log_out(client: &mut Client) {
    assert_eq!(client.json("DELETE", "/api/session", &Value::Null).status, 204);
}

/// The p-th percentile.
fn percentile(sorted: &[Duration], p: usize) -> Duration {
    sorted[(sorted.len() * p / 100).min(sorted.len() - 1)]
}
