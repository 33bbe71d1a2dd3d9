//! nginx in front of the program, configured with `ops/nginx.conf`. Only names, ports and paths are replaced.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{
    KIM, ask_with,
    https::{Https, Made, Told},
    lasting_port,
};
use crate::support::{Engine, PASSWORD, Server, TestDb, add_user};

const SHOWN: &str = include_str!("../../../ops/nginx.conf");

#[test]
fn nginx_passes_cookies_redirects_and_addresses_on() {
    let (db, _server, nginx, made) = serve();
    let mut browser = Https::connect(nginx.https, &made).expect("a handshake");
    // nginx must not pass on the client's own forwarding headers.
    let lies = ["X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: http", "Forwarded: for=203.0.113.7;proto=http"];
    let login = log_in(&mut browser, &lies);
    assert_eq!(login.status, 200, "{login:?}");
    login.assert_cookies_are_of_https();
    assert_eq!(login.all("strict-transport-security"), ["max-age=31536000; includeSubDomains"]);
    assert!(login.body.contains("\"ip\":\"127.0.0.1\""), "{login:?}");
    let page = browser.ask("GET /dashboard", &[&login.cookies()], "");
    assert!(page.status == 200 && !page.body.contains("203.0.113.7"), "{page:?}");
    let addresses = db.sql("SELECT DISTINCT ip FROM audit WHERE kind <> 'account.created'");
    assert_eq!(addresses, "127.0.0.1", "the audit trail has the client's own address");

    let mut plain = TcpStream::connect(("127.0.0.1", nginx.http)).expect("a connection");
    plain.write_all(b"GET /devices?a=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert!(answer.contains(&format!("Location: https://localhost:{}/devices?a=b\r\n", nginx.https)), "{answer}");
}

#[test]
fn another_address_of_this_machine_is_told_apart_behind_nginx() {
    let (db, _server, nginx, made) = serve();
    let mut browser = Https::connect_from("127.0.0.9", nginx.https, &made).expect("a handshake");
    assert_eq!(log_in(&mut browser, &["X-Forwarded-For: 203.0.113.7"]).status, 200);
    assert_eq!(db.sql("SELECT DISTINCT ip FROM audit WHERE kind <> 'account.created'"), "127.0.0.9");
}

#[test]
fn requests_that_nginx_refuses_do_not_arrive() {
    let (_db, server, nginx, made) = serve();
    let mut browser = Https::connect(nginx.https, &made).expect("a handshake");
    let told = browser.ask("POST /login", &["Content-Type: text/plain"], &"a".repeat(300 * 1024));
    assert_eq!(told.status, 413, "{told:?}");
    assert!(!server.log().contains("/login"), "{}", server.log());
}

/// Without that line nginx sends the name of its upstream as `Host`.
#[test]
fn a_wrong_host_behind_nginx_is_reported_to_the_operator() {
    let (db, server, nginx, made) = serve_without("proxy_set_header Host $http_host;");
    let mut browser = Https::connect(nginx.https, &made).expect("a handshake");
    for fields in [&[][..], &["Sec-Fetch-Site: none"]] {
        let page = browser.ask("GET /login", fields, "");
        assert!(page.status == 200 && !page.body.contains("another address"), "{page:?}");
    }
    assert_eq!(log_in(&mut browser, &[]).status, 200);
    let public = format!("https://localhost:{}", nginx.https);
    let listen = format!("127.0.0.1:{}", server.port);
    let more = [
        ("SESSILE_PUBLIC_URL", public.as_str()),
        ("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32"),
        ("SESSILE_LISTEN", listen.as_str()),
    ];
    let said = ask_with(&db, &more, &["doctor"], "");
    assert_eq!(said.code, Some(1), "{said:?}");
    let line = said.stdout.lines().find(|line| line.starts_with("FAIL address: ")).expect("its line");
    assert!(line.contains("proxy_set_header Host"), "{line}");
    let (_, log) = server.stopped();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("proxy_set_header Host")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("sessile") && lines[0].contains(&public), "{log}");
}

#[test]
fn the_right_host_is_in_order() {
    let (db, server, nginx, made) = serve();
    let mut browser = Https::connect(nginx.https, &made).expect("a handshake");
    let page = browser.ask("GET /login", &[], "");
    assert!(page.status == 200 && !page.body.contains("another address"), "{page:?}");
    let listen = format!("127.0.0.1:{}", server.port);
    let said = ask_with(&db, &[("SESSILE_LISTEN", listen.as_str())], &["doctor"], "").said();
    assert!(said.contains("ok  address: no proxy was seen"), "{said}");
}

/// nginx in its own folder, run as the current user. Dropping it kills the process.
struct Nginx {
    child: Child,
    http: u16,
    https: u16,
}

impl Nginx {
    fn start(db: &TestDb, upstream: u16, ports: (u16, u16), made: &Made, without: &str) -> Self {
        let folder = db.folder.display();
        made.write(&db.folder.join("fullchain.pem"), &db.folder.join("privkey.pem"));
        let (http, https) = ports;
        let changes = [
            ("127.0.0.1:8080", format!("127.0.0.1:{upstream}")),
            ("listen 80;", format!("listen 127.0.0.1:{http};")),
            ("listen 443 ", format!("listen 127.0.0.1:{https} ")),
            ("https://id.example.com", format!("https://localhost:{https}")),
            ("server_name id.example.com", "server_name localhost".to_owned()),
            ("/etc/ssl/id.example.com", folder.to_string()),
        ];
        let mut site = SHOWN.replace(without, "");
        assert!(without.is_empty() || site != SHOWN, "{without} is gone from ops/nginx.conf");
        for (shown, ours) in changes {
            assert!(site.contains(shown), "{shown} is gone from ops/nginx.conf");
            site = site.replace(shown, &ours);
        }
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {folder}/{kind};"))
            .concat();
        let frame = format!(
            "daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr; events {{}}\n\
             http {{ access_log off; {temporary}\n{site} }}"
        );
        let file = db.folder.join("nginx.conf");
        std::fs::write(&file, frame).expect("a file");
        let mut command =
            Command::new(if std::path::Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" });
        command.arg("-p").arg(&db.folder).arg("-c").arg(&file).args(["-e", "stderr"]).stdin(Stdio::null());
        let mut child = command.spawn().expect("nginx: run scripts/tools");
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", https)).is_err() {
            assert!(child.try_wait().expect("its state").is_none(), "nginx exited");
            assert!(started.elapsed() < Duration::from_secs(30), "nginx does not answer");
            std::thread::yield_now();
        }
        Self { child, http, https }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve() -> (TestDb, Server, Nginx, Made) {
    serve_without("")
}

/// Serves behind nginx with this line removed from the configuration.
fn serve_without(line: &str) -> (TestDb, Server, Nginx, Made) {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let ports = (lasting_port(), lasting_port());
    let public = format!("https://localhost:{}", ports.1);
    let server = Server::start(&db, &[("SESSILE_PUBLIC_URL", &public), ("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32")]);
    let made = Made::new();
    let nginx = Nginx::start(&db, server.port, ports, &made, line);
    (db, server, nginx, made)
}

fn log_in(browser: &mut Https, fields: &[&str]) -> Told {
    let body = format!(r#"{{"email": "{KIM}", "password": "{PASSWORD}"}}"#);
    let fields: Vec<&str> = fields.iter().copied().chain(["Content-Type: application/json"]).collect();
    browser.ask("POST /api/establish-session", &fields, &body)
}
