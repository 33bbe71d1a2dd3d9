//! The real server behind each proxy, with the configuration that `sessile app snippet` prints: from the first visit to
//! the end of the session.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use sessile::web::snippet::Proxy;

use super::{
    FETCH, NAVIGATION, Seen, app,
    proxy::{Running, program},
    streams::UPGRADE,
    wire::{Answer, Conn, Listening},
};
use crate::support::{Client, Engine, Server, TestDb, add_user, command, lasting_port};

const KIM: &str = "kim@example.com";

macro_rules! with_sessile {
    ($($case:ident $proxy:ident $check:ident),+ $(,)?) => {
        $(
            #[test]
            #[ignore = "needs a proxy: run ./scripts/test"]
            fn $case() {
                match program(Proxy::$proxy) {
                    Some(program) => $check(Proxy::$proxy, &program),
                    None => println!("NOT CHECKED: {} is not installed", Proxy::$proxy),
                }
            }
        )+
    };
}

with_sessile!(
    people_sign_in_and_out_through_nginx Nginx sign_in_and_out,
    people_sign_in_and_out_through_caddy Caddy sign_in_and_out,
    people_sign_in_and_out_through_traefik Traefik sign_in_and_out,
    people_sign_in_and_out_through_haproxy Haproxy sign_in_and_out,
    people_sign_in_and_out_through_envoy Envoy sign_in_and_out,
    doctor_names_what_is_wrong_with_a_proxy Nginx doctor_with_faults,
);

/// A registered app behind a proxy, and Sessile.
struct Place {
    db: TestDb,
    server: Server,
    app: Option<Listening>,
    id: String,
    port: u16,
    printed: String,
    /// The cookies of the browser for the app's host.
    cookies: Vec<(String, String)>,
}

impl Place {
    fn new(proxy: Proxy) -> Self {
        let db = TestDb::new(Engine::Sqlite);
        add_user(&db, KIM, "owner");
        let server = Server::start(&db, &[("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32")]);
        let (app, port) = (app::start(), lasting_port());
        let origin = format!("http://shop.localhost:{port}");
        let added = ask(&db, &["app", "add", "--name", "Shop", "--url", &origin, "--public", "/health"], "");
        let field = |name: &str| added.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        let (id, token) = (field("id: "), field("gateToken: "));
        let (upstream, sessile) = (format!("127.0.0.1:{}", app.port), format!("127.0.0.1:{}", server.port));
        let words = ["--proxy", proxy.word(), "--upstream", &upstream, "--sessile", &sessile, "--gate-token-stdin"];
        let printed = ask(&db, &[&["app", "snippet", &id], &words[..]].concat(), &token);
        assert!(printed.contains(&token), "{printed}");
        Self { db, server, app: Some(app), id, port, printed, cookies: Vec::new() }
    }

    fn origin(&self) -> String {
        format!("http://shop.localhost:{}", self.port)
    }

    fn run(&mut self, proxy: Proxy, program: &Path) -> Running {
        let running = Running::start(proxy, program, &self.printed, self.port);
        assert!(super::Stand::wait_for(|| self.ask("GET /health", &[]).status == 200), "{}", running.log());
        running
    }

    /// A request of a browser to the app's host.
    fn ask(&self, line: &str, fields: &[&str]) -> Answer {
        self.send(line, fields, b"")
    }

    fn send(&self, line: &str, fields: &[&str], body: &[u8]) -> Answer {
        let mut conn = Conn::open(self.port);
        conn.send(&self.request(line, fields, body));
        conn.answer(line.split(' ').next().unwrap())
    }

    fn request(&self, line: &str, fields: &[&str], body: &[u8]) -> Vec<u8> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut head = format!("{line} HTTP/1.1\r\nHost: shop.localhost:{}\r\n", self.port);
        if !cookies.is_empty() {
            head += &format!("Cookie: {}\r\n", cookies.join("; "));
        }
        for field in fields {
            head += &format!("{field}\r\n");
        }
        if !line.starts_with("GET ") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        [head.as_bytes(), b"\r\n", body].concat()
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for cookie in answer.head.all("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').expect("a cookie");
            self.cookies.retain(|(known, _)| known != name);
            if !cookie.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// From the gate's redirect to the app's cookie. Returns the address that the browser ends at.
    fn open(&mut self, browser: &mut Client, target: &str) -> String {
        let begun = self.ask(&format!("GET {target}"), &NAVIGATION);
        assert_eq!(begun.status, 303, "{begun:?}");
        let start = self.ask(&format!("GET {}", self.path_of(begun.head.get("location"))), &NAVIGATION);
        assert_eq!(start.status, 200, "{start:?}");
        self.keep_cookies(&start);
        let open = going_on(&start.body);
        let open = open.strip_prefix(&format!("http://localhost:{}", self.server.port)).expect("Sessile's origin");
        let opened = browser.get(open);
        assert_eq!(opened.status, 200, "{opened:?}");
        let done = self.ask(&format!("GET {}", self.path_of(&going_on(&opened.body))), &NAVIGATION);
        assert_eq!(done.status, 200, "{done:?}");
        self.keep_cookies(&done);
        going_on(&done.body)
    }

    fn path_of(&self, address: &str) -> String {
        address.strip_prefix(&self.origin()).unwrap_or_else(|| panic!("{address} is not the app's")).to_owned()
    }

    /// What `doctor --app` prints, without the checks of the installation.
    fn doctor(&self) -> Vec<String> {
        let listen = format!("127.0.0.1:{}", self.server.port);
        let mut doctor = command(&self.db, &[("SESSILE_LOG", "off"), ("SESSILE_LISTEN", &listen)]);
        let said = doctor.args(["doctor", "--app", &self.id]).output().expect("a command");
        let said = String::from_utf8(said.stdout).expect("text");
        said.lines().filter(|line| line.split(' ').any(|word| word.starts_with("app"))).map(str::to_owned).collect()
    }
}

fn sign_in_and_out(proxy: Proxy, program: &Path) {
    let mut place = Place::new(proxy);
    let _running = place.run(proxy, program);
    let found = place.doctor();
    assert_eq!(found.iter().filter(|line| line.starts_with("ok ")).count(), 5, "{found:#?}");
    assert_eq!(found[4], "ok  app itself: /health is answered with 200");

    let refused = place.ask("GET /api", &FETCH);
    assert!(refused.status == 401 && refused.body.contains("login-required"), "{refused:?}");
    let form = place.send("POST /form", &[&NAVIGATION[..], &["Sec-Fetch-Site: same-origin"]].concat(), b"a=b");
    assert!(form.status == 401 && form.body.contains("nothing is lost"), "{form:?}");

    let mut browser = place.server.client();
    browser.log_in(KIM);
    let end = place.open(&mut browser, "/deep?a=1&b=%26");
    assert_eq!(end, format!("{}/deep?a=1&b=%26", place.origin()));
    let seen = Seen::of(&place.ask("GET /deep?a=1&b=%26", &NAVIGATION));
    assert_eq!(seen.all("x-sessile-user"), [place.db.sql("SELECT id FROM accounts")]);
    assert_eq!(
        (seen.all("x-sessile-email"), seen.all("x-sessile-role")),
        (vec![KIM.to_owned()], vec!["owner".to_owned()])
    );
    assert_eq!(seen.all("x-sessile-assertion")[0].split('.').count(), 3);

    let own = format!("Origin: {}", place.origin());
    let body = vec![b'a'; 3_000_000];
    assert_eq!(Seen::of(&place.send("POST /up", &[&own], &body)).number("length"), 3_000_000);
    assert_eq!(place.send("POST /up", &["Origin: https://evil.example"], b"a=b").status, 403);
    let mut socket = Conn::open(place.port);
    socket.send(&place.request("GET /ws", &[&UPGRADE[..], &[&own]].concat(), b""));
    let head = socket.head();
    assert!(head.first.starts_with("HTTP/1.1 101 "), "{head:?}");

    assert_eq!(browser.send("DELETE", "/api/session", &[], b"").status, 204);
    assert_eq!(place.ask("GET /api", &FETCH).status, 401, "what has ended stays ended");
    assert_eq!(place.ask("GET /", &NAVIGATION).status, 303);
    place.server.kill();
    let away = place.ask("GET /api", &FETCH);
    assert!(away.status == 503 && !away.head.get("retry-after").is_empty(), "{away:?}");
    assert!(place.doctor().iter().any(|line| line.starts_with("FAIL app gate: ") && line.contains("503")));
}

fn doctor_with_faults(proxy: Proxy, program: &Path) {
    let mut place = Place::new(proxy);
    assert!(place.doctor()[1].starts_with("FAIL app pages: shop.localhost:"), "{:?}", place.doctor());
    let whole = place.printed.clone();
    let faults = [
        ("auth_request /.sessile/gate;", "FAIL app gate: a request without a sign-in reached the app"),
        (
            "proxy_set_header X-Sessile-User $gate_x_sessile_user;",
            "FAIL app headers: a client can send the app these headers: x-sessile-user;",
        ),
        ("location ~ ^/[.]sessile/(?!echo$)", "FAIL app pages: /.sessile/start is answered with "),
        ("/.sessile/gate/", "FAIL app gate: the gate refuses the proxy"),
    ];
    for (line, expected) in faults {
        let replacement = match line {
            "/.sessile/gate/" => "/.sessile/gate/x",
            line if line.starts_with("location") => "location /elsewhere",
            _ => "",
        };
        place.printed = whole.replace(line, replacement);
        assert_ne!(place.printed, whole, "{line}");
        let _running = place.run(proxy, program);
        assert!(place.doctor().iter().any(|found| found.starts_with(expected)), "{line}: {:#?}", place.doctor());
    }
    place.printed = whole;
    let _running = place.run(proxy, program);
    drop(place.app.take());
    let found = place.doctor();
    assert!(found[1..4].iter().all(|line| line.starts_with("ok ")), "{found:#?}");
    assert!(found[4].starts_with("FAIL app itself: /health is answered with 502: start the app"), "{found:#?}");
}

/// Runs a command that succeeds.
fn ask(db: &TestDb, args: &[&str], stdin: &str) -> String {
    let mut program = command(db, &[("SESSILE_LOG", "off")]);
    let mut child = program
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("a command");
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).expect("stdin");
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The address that a page goes on to by itself.
fn going_on(page: &str) -> String {
    let page = page.replace("&#38;", "&").replace("&amp;", "&");
    let (_, rest) = page.split_once("content=\"0; url=").unwrap_or_else(|| panic!("{page}"));
    rest.split('"').next().unwrap().to_owned()
}
