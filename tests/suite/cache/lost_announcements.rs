//! Announcements on an SQLite file that do not reach a server: it notices by their numbers.

use std::path::PathBuf;

use super::{KIM, has_lease, readers::watch_ends};
use crate::support::{Client, Engine, Served, Server, TestDb, add_user, eventually, run};

/// Ends every session as a process does that is killed between its commit and its announcement.
fn end_all_without_telling(db: &TestDb) {
    db.sql(
        "BEGIN; UPDATE sessions SET ended_at = INSTANT(0), ended_reason = 'revoked' WHERE ended_at IS NULL; \
         UPDATE announcements SET number = number + 1; COMMIT",
    );
}

async fn two_servers(db: &TestDb) -> [Server; 2] {
    add_user(db, KIM, "owner");
    let servers = [Server::start(db, &[]), Server::start(db, &[])];
    for server in &servers {
        has_lease(server).await;
    }
    servers
}

/// A client whose session this server has in memory.
fn remembered(server: &Served) -> Client {
    let mut client = server.client();
    client.log_in(KIM);
    for _ in 0..2 {
        assert_eq!(client.get("/api/session").status, 200);
    }
    client
}

fn on(server: &Served, client: &Client) -> Client {
    let mut there = server.client();
    there.cookies = client.cookies.clone();
    there
}

#[test]
fn an_end_that_was_committed_and_not_announced_is_noticed() {
    run(Engine::Sqlite, async |db: TestDb| {
        let servers = two_servers(&db).await;
        let mut client = remembered(&servers[1]);
        end_all_without_telling(&db);
        eventually("the server notices the end", async || client.get("/api/session").status == 401).await;
    });
}

#[test]
fn a_server_that_reports_an_unannounced_end_first_tells_the_others() {
    run(Engine::Sqlite, async |db: TestDb| {
        let servers = two_servers(&db).await;
        for round in 0..5 {
            let mut there = remembered(&servers[1]);
            let mut here = on(&servers[0], &there);
            end_all_without_telling(&db);
            assert_eq!(here.get("/api/session").status, 401, "round {round}");
            assert_eq!(there.get("/api/session").status, 401, "round {round}");
        }
    });
}

/// The others do not send to such a socket, while the server itself still sends its beats to it.
#[test]
fn a_server_whose_socket_belongs_to_another_user_answers_nothing_that_has_ended() {
    run(Engine::Sqlite, async |db: TestDb| {
        add_user(&db, KIM, "owner");
        let more = [("SESSILE_SESSIONS_PER_ACCOUNT", "0")];
        let first = Server::start(&db, &more);
        has_lease(&first).await;
        let known = sockets(&db);
        let second = Server::start(&db, &more);
        has_lease(&second).await;
        let new = sockets(&db).into_iter().filter(|socket| !known.contains(socket));
        for socket in new {
            if std::os::unix::fs::chown(&socket, Some(65_534), None).is_err() {
                // Only root can change a file's owner.
                return;
            }
        }
        watch_ends(&[&first, &second], 5).check("SQLite, a server that is not told");
    });
}

fn sockets(db: &TestDb) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(&db.folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "sock")).collect()
}
