//! The program's own TLS: real handshakes, and a certificate that changes while the program serves.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use super::{
    KIM, ask_with,
    https::{Https, Made},
};
use crate::support::{Engine, PASSWORD, Server, TestDb, add_user, eventually};

#[test]
fn it_serves_https_with_secure_cookies_and_hsts() {
    let (_db, server, made, _files) = serve();
    assert!(server.address.starts_with("https://"), "{}", server.address);
    let mut browser = Https::connect(server.port, &made).expect("a handshake");
    let login = log_in(&mut browser);
    assert_eq!(login.status, 200, "{login:?}");
    login.assert_cookies_are_of_https();
    assert_eq!(login.all("strict-transport-security"), ["max-age=31536000; includeSubDomains"]);
    let seen = browser.ask("GET /api/session", &[&login.cookies()], "");
    assert_eq!(seen.status, 200, "{seen:?}");
    assert!(seen.body.contains("\"ip\":\"127.0.0.1\""), "{seen:?}");
    assert!(Https::connect(server.port, &Made::new()).is_err(), "another certificate is not trusted");
    // A client that speaks http to this port gets no answer, and the server keeps working.
    let plain = ureq::get(format!("http://127.0.0.1:{}/healthz", server.port)).call();
    assert!(plain.is_err());
    assert_eq!(server.terminate(), Some(0));
}

/// By default actix allows 256 concurrent handshakes per worker.
#[test]
fn stalled_handshakes_do_not_block_others() {
    let (_db, server, made, _files) = serve_with(&[("SESSILE_WORKERS", "1")]);
    // The connections are closed after three seconds. A busy machine may take that long to open them, so try several
    // times.
    let kept_nobody_out = (0..5).any(|_| {
        let silent: Vec<TcpStream> =
            (0..300).map(|_| TcpStream::connect(("127.0.0.1", server.port)).expect("a connection")).collect();
        let mut browser = Https::connect(server.port, &made).expect("a handshake");
        assert_eq!(browser.ask("GET /healthz", &[], "").status, 200);
        silent.iter().all(is_open)
    });
    assert!(kept_nobody_out, "a handshake waited for the stalled handshakes");
}

fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let peeked = stream.peek(&mut [0]);
    peeked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn sighup_loads_a_new_certificate_and_keeps_connections() {
    let (_db, server, old, files) = serve();
    let mut kept = Https::connect(server.port, &old).expect("a handshake");
    let cookies = log_in(&mut kept).cookies();

    let new = Made::new();
    new.write(&files.0, &files.1);
    assert!(Https::connect(server.port, &new).is_err(), "not yet");
    hang_up(&server);
    wait_for(&server, "the certificate was read again");
    let mut fresh = Https::connect(server.port, &new).expect("a handshake with the new certificate");
    assert!(Https::connect(server.port, &old).is_err(), "the old certificate is no longer used");
    assert_eq!(fresh.ask("GET /api/session", &[&cookies], "").status, 200);
    assert_eq!(kept.ask("GET /api/session", &[&cookies], "").status, 200, "the old connection stays open");
}

#[test]
fn invalid_files_keep_the_old_certificate_and_are_logged() {
    let (_db, server, old, (certificate, key)) = serve();
    let reload = |words: &str| {
        hang_up(&server);
        wait_for(&server, words);
        Https::connect(server.port, &old)
            .expect("a handshake with the old certificate")
            .ask("GET /healthz", &[], "")
            .status
    };
    std::fs::write(&certificate, "no certificate").unwrap();
    assert_eq!(reload("SESSILE_TLS_CERT: "), 200);
    Made::new().write(&certificate, &key);
    std::fs::write(&key, &old.key).unwrap();
    assert_eq!(reload("SESSILE_TLS_CERT, SESSILE_TLS_KEY: "), 200, "the certificate and the key do not match");
    std::fs::remove_file(&key).unwrap();
    assert_eq!(reload("SESSILE_TLS_KEY: "), 200);
    // After the files are corrected, the reload succeeds.
    let new = Made::new();
    new.write(&certificate, &key);
    hang_up(&server);
    wait_for(&server, "the certificate was read again");
    Https::connect(server.port, &new).expect("a handshake");
}

#[test]
fn sighup_without_tls_changes_nothing() {
    let db = TestDb::new(Engine::Sqlite);
    let server = Server::start(&db, &[]);
    hang_up(&server);
    wait_for(&server, "no certificate is configured");
    assert_eq!(server.client().get("/healthz").status, 200);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn files_that_cannot_be_used_stop_the_start() {
    let db = TestDb::new(Engine::Sqlite);
    let [certificate, key, empty] = ["c.pem", "k.pem", "empty.pem"].map(|name| db.folder.join(name));
    Made::new().write(&certificate, &key);
    std::fs::write(&empty, "").unwrap();
    let other = db.folder.join("other.pem");
    std::fs::write(&other, &Made::new().key).unwrap();
    let text = |path: &PathBuf| path.display().to_string();
    for (cert, key, named) in [
        (text(&empty), text(&key), "SESSILE_TLS_CERT"),
        (text(&certificate), text(&empty), "SESSILE_TLS_KEY"),
        ("/nowhere.pem".into(), text(&key), "SESSILE_TLS_CERT"),
        (text(&certificate), text(&other), "SESSILE_TLS_CERT, SESSILE_TLS_KEY"),
    ] {
        ask_with(&db, &[("SESSILE_TLS_CERT", &cert), ("SESSILE_TLS_KEY", &key)], &["serve"], "").refused(&[named]);
    }
}

fn serve() -> (TestDb, Server, Made, (PathBuf, PathBuf)) {
    serve_with(&[])
}

fn serve_with(more: &[(&str, &str)]) -> (TestDb, Server, Made, (PathBuf, PathBuf)) {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let made = Made::new();
    let files = (db.folder.join("cert.pem"), db.folder.join("key.pem"));
    made.write(&files.0, &files.1);
    let (cert, key) = (files.0.display().to_string(), files.1.display().to_string());
    let mut settings = vec![("SESSILE_TLS_CERT", cert.as_str()), ("SESSILE_TLS_KEY", key.as_str())];
    settings.extend(more);
    let server = Server::start(&db, &settings);
    (db, server, made, files)
}

fn log_in(browser: &mut Https) -> super::https::Told {
    let body = format!(r#"{{"email": "{KIM}", "password": "{PASSWORD}"}}"#);
    browser.ask("POST /api/establish-session", &["Content-Type: application/json"], &body)
}

fn hang_up(server: &Server) {
    let asked = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().expect("kill");
    assert!(asked.success());
}

fn wait_for(server: &Server, words: &str) {
    actix_web::rt::System::new()
        .block_on(eventually(&format!("{words} in the log"), async || server.log().contains(words)));
}
