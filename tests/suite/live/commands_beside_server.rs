//! Commands and several servers that use one SQLite file.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{AT_ONCE, KIM, SAM, done, log_out, serve_process, session_id, signed_in, stream::Stream};
use crate::support::{Client, Engine, Server, TestDb, add_user, eventually, run};

/// The sockets in a folder.
fn sockets(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "sock")).collect()
}

async fn listening(db: &TestDb, many: usize) {
    eventually("the servers listen", async || sockets(&db.folder).len() == many).await;
}

#[test]
fn a_command_returns_once_the_server_knows() {
    run(Engine::Sqlite, async |db: TestDb| {
        let server = serve_process(&db);
        listening(&db, 1).await;
        for _ in 0..10 {
            let stream = Stream::open(server.port, &signed_in(&server, KIM));
            let before = Instant::now();
            done(&db, &["session", "revoke", "--email", KIM]);
            let returned = Instant::now();
            let ended = stream.ends("revoked");
            assert!(ended.at > before && ended.at.saturating_duration_since(returned) < AT_ONCE);
        }
    });
}

#[test]
fn the_socket_is_private_and_removed_with_the_server() {
    run(Engine::Sqlite, async |db: TestDb| {
        let server = serve_process(&db);
        listening(&db, 1).await;
        let mode = std::fs::metadata(&sockets(&db.folder)[0]).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(server.terminate(), Some(0));
        assert!(sockets(&db.folder).is_empty());
        done(&db, &["session", "revoke", "--all"]);
    });
}

#[test]
fn a_socket_that_a_killed_server_left_is_cleared_away() {
    run(Engine::Sqlite, async |db: TestDb| {
        let mut server = serve_process(&db);
        listening(&db, 1).await;
        server.kill();
        assert_eq!(sockets(&db.folder).len(), 1, "a killed server leaves its socket");
        let server = Server::start(&db, &[]);
        listening(&db, 2).await;
        let stream = Stream::open(server.port, &signed_in(&server, KIM));
        done(&db, &["session", "revoke", "--email", KIM]);
        stream.ends("revoked");
        assert_eq!(sockets(&db.folder).len(), 1);
    });
}

#[test]
fn a_server_that_hangs_holds_a_command_up_for_a_moment_only() {
    run(Engine::Sqlite, async |db: TestDb| {
        let server = serve_process(&db);
        listening(&db, 1).await;
        let name = sockets(&db.folder)[0].file_name().unwrap().to_string_lossy().into_owned();
        let _hangs = UnixListener::bind(db.folder.join(name.replace(".live-", ".live-hangs"))).unwrap();
        let stream = Stream::open(server.port, &signed_in(&server, KIM));
        let before = Instant::now();
        done(&db, &["session", "revoke", "--email", KIM]);
        stream.ends("revoked");
        assert!(before.elapsed() < AT_ONCE * 8, "{:?}", before.elapsed());
    });
}

#[test]
fn a_suspended_process_delays_only_one_change() {
    run(Engine::Sqlite, async |db: TestDb| {
        let server = serve_process(&db);
        listening(&db, 1).await;
        let name = sockets(&db.folder)[0].file_name().unwrap().to_string_lossy().into_owned();
        let mut clients: Vec<Client> = (0..6).map(|_| signed_in(&server, KIM)).collect();
        let _stands_still = UnixListener::bind(db.folder.join(name.replace(".live-", ".live-still"))).unwrap();
        log_out(&mut clients.pop().unwrap());
        let before = Instant::now();
        clients.iter_mut().for_each(log_out);
        assert!(before.elapsed() < AT_ONCE * 3, "five changes took {:?}", before.elapsed());
        assert!(server.log().contains("is ignored for a minute"), "{}", server.log());
    });
}

#[test]
fn a_socket_of_another_user_is_ignored() {
    run(Engine::Sqlite, async |db: TestDb| {
        let server = serve_process(&db);
        listening(&db, 1).await;
        let name = sockets(&db.folder)[0].file_name().unwrap().to_string_lossy().into_owned();
        let theirs = db.folder.join(name.replace(".live-", ".live-theirs"));
        let listener = UnixListener::bind(&theirs).unwrap();
        listener.set_nonblocking(true).unwrap();
        if std::os::unix::fs::chown(&theirs, Some(65_534), None).is_err() {
            // Only root can change a file's owner.
            return;
        }
        log_out(&mut signed_in(&server, KIM));
        let connected = listener.accept();
        assert!(
            connected.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
            "an unexpected connection arrived"
        );
    });
}

#[test]
fn messages_of_another_user_are_ignored() {
    run(Engine::Sqlite, async |db: TestDb| {
        use std::io::{Read as _, Write as _};
        let server = serve_process(&db);
        listening(&db, 1).await;
        let mut client = signed_in(&server, KIM);
        let account = client.get("/api/session").json()["user"]["id"].as_str().unwrap().to_owned();
        let id = session_id(&mut client);
        let stream = Stream::open(server.port, &client);
        let socket = sockets(&db.folder).remove(0);
        let odd = [
            "nonsense".to_owned(),
            "\u{0}\n\n\n- {}".to_owned(),
            "x".repeat(2 << 20),
            format!("1 {{\"what\":\"melted\",\"account\":\"{account}\",\"was\":\"{id}\"}}\n"),
        ];
        for text in odd {
            let mut peer = std::os::unix::net::UnixStream::connect(&socket).unwrap();
            let _ = peer.write_all(text.as_bytes());
            let _ = peer.shutdown(std::net::Shutdown::Write);
            let _ = peer.read(&mut [0; 16]);
        }
        assert_eq!(client.get("/api/session").status, 200);
        log_out(&mut client);
        stream.ends("logged-out");
        assert!(!server.log().contains("panicked"));
    });
}

#[test]
fn two_servers_on_one_file_hear_of_each_others_ends() {
    run(Engine::Sqlite, async |db: TestDb| {
        let first = serve_process(&db);
        let second = Server::start(&db, &[]);
        listening(&db, 2).await;
        let mut client = signed_in(&first, KIM);
        let stream = Stream::open(second.port, &client);
        log_out(&mut client);
        stream.ends("logged-out");
    });
}

#[test]
fn a_file_with_a_long_path_has_a_socket() {
    run(Engine::Sqlite, async |db: TestDb| {
        let folder = db.folder.join("a-folder-with-a-rather-long-name".repeat(3)).join("and-another".repeat(4));
        let url = format!("sqlite://{}/{}.sqlite3", folder.display(), "long-name".repeat(12));
        let variables = [("DATABASE_URL", url.as_str())];
        let command = |args: &[&str]| {
            let mut command = crate::support::command(&db, &variables);
            command.args(args).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
            let mut child = command.spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), crate::support::PASSWORD.as_bytes()).unwrap();
            assert!(child.wait().unwrap().success(), "{args:?}");
        };
        command(&["user", "add", "--email", KIM, "--role", "owner", "--password-stdin"]);
        let server = Server::start(&db, &variables);
        eventually("the server listens", async || folder.is_dir() && sockets(&folder).len() == 1).await;
        let stream = Stream::open(server.port, &signed_in(&server, KIM));
        command(&["session", "revoke", "--all"]);
        stream.ends("revoked");
    });
}

#[test]
fn a_command_works_without_a_server() {
    run(Engine::Sqlite, async |db: TestDb| {
        add_user(&db, KIM, "owner");
        add_user(&db, SAM, "member");
        done(&db, &["session", "revoke", "--email", KIM]);
        done(&db, &["user", "disable", SAM]);
        let server = Server::start(&db, &[]);
        let mut client: Client = server.client();
        client.log_in(KIM);
    });
}
