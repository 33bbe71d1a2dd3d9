//! More logins, visits and connections than the server can handle. Short by default; full size with
//! `SESSILE_TEST_LONG`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{KIM, is_long};
use crate::support::{Engine, PASSWORD, Server, TestDb, add_user, on_both_engines};

/// The limit on the program's peak memory, in KiB.
const MOST_MEMORY: usize = 256 * 1024;

on_both_engines! {
    many_logins_at_once_use_bounded_memory,
    anonymous_requests_leave_no_rows,
}

async fn many_logins_at_once_use_bounded_memory(db: TestDb) {
    let many = if is_long() { 2000 } else { 300 };
    raise_open_files();
    add_user(&db, KIM, "owner");
    // No limit: the logins must not end the session that reads. On a busy machine reads wait, and are still answered.
    let patient = [("SESSILE_POOL_TIMEOUT", "30s"), ("SESSILE_STATEMENT_TIMEOUT", "60s")];
    let more = [("SESSILE_LOG", "warn"), ("SESSILE_SESSIONS_PER_ACCOUNT", "0"), patient[0], patient[1]];
    let server = Server::start(&db, &more);
    let mut client = server.client();
    client.log_in(KIM);
    let cookie = client.cookies["aiq_session"].clone();
    let port = server.port;

    let alone = reads(port, &cookie, |started| started.elapsed() < Duration::from_secs(2));
    let over = AtomicBool::new(false);
    let (answers, meanwhile) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| reads(port, &cookie, |_| !over.load(Ordering::Relaxed)));
        let answers = log_in_at_once(port, many);
        over.store(true, Ordering::Relaxed);
        (answers, reading.join().expect("reads"))
    });
    let peak = memory(&server, "VmHWM:");
    println!(
        "{many} logins at once: {answers:?}; peak memory {} MiB; reads a second: {alone:.0} alone, {meanwhile:.0} \
         meanwhile, ratio {:.2}",
        peak / 1024,
        meanwhile / alone
    );
    assert_eq!(answers.values().sum::<usize>(), many, "every request got an answer: {answers:?}");
    assert!(answers.keys().all(|status| matches!(status, 200 | 401 | 429 | 503)), "{answers:?}");
    assert!(peak < MOST_MEMORY, "{peak} KiB");
    assert_eq!(client.get("/api/session").status, 200);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// Sends logins on separate connections, all before the first answer is read. Returns the number of answers by status.
fn log_in_at_once(port: u16, many: usize) -> BTreeMap<u16, usize> {
    let mut streams: Vec<TcpStream> = (0..many)
        .map(|n| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
            // The right password, a wrong password, and an unknown account.
            let (email, password) = match n % 3 {
                0 => (KIM.to_owned(), PASSWORD),
                1 => (KIM.to_owned(), "a wrong password"),
                _ => (format!("nobody{n}@example.com"), PASSWORD),
            };
            let body = format!(r#"{{"email": "{email}", "password": "{password}"}}"#);
            let head = "POST /api/establish-session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
            let fields = format!("Content-Type: application/json\r\nContent-Length: {}", body.len());
            write!(stream, "{head}{fields}\r\n\r\n{body}").expect("a request");
            stream
        })
        .collect();
    let mut answers = BTreeMap::new();
    for stream in &mut streams {
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a limit");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status: u16 = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect(&answer);
        let told = answer.contains("\r\nretry-after: ");
        assert_eq!(told, matches!(status, 429 | 503), "{answer}");
        *answers.entry(status).or_insert(0) += 1;
    }
    answers
}

/// Sends signed-in reads one after the other on a single connection. Returns the rate per second.
fn reads(port: u16, cookie: &str, goes_on: impl Fn(Instant) -> bool) -> f64 {
    let mut stream = connect(port);
    let request =
        format!("GET /api/session HTTP/1.1\r\nHost: localhost\r\nCookie: aiq_session_{port}={cookie}\r\n\r\n");
    let (started, mut count) = (Instant::now(), 0);
    while goes_on(started) {
        stream.get_mut().write_all(request.as_bytes()).expect("a request");
        let answer = one_answer(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        count += 1;
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}

async fn anonymous_requests_leave_no_rows(db: TestDb) {
    let many = if is_long() { 10_000 } else { 1_000 };
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[("SESSILE_LOG", "warn")]);
    let before = rows(&db);
    let requests = [
        "GET /",
        "GET /login",
        "GET /login?next=%2Fdashboard",
        "GET /dashboard",
        "GET /devices",
        "GET /activity",
        "GET /account",
        "GET /admin",
        "GET /setup",
        "GET /signup",
        "GET /offline",
        "GET /nothing",
        "HEAD /login",
        "GET /api/session",
        "GET /api/sessions",
        "GET /api/session/data",
        "GET /api/drafts",
        "GET /api/nothing",
        "DELETE /api/session",
        "PATCH /api/session/data",
        "POST /logout",
        "POST /login",
        "GET /healthz",
    ];
    let mut stream = connect(server.port);
    let [session, device, visitor] = ["aiq_session", "aiq_device", "aiq_visitor"].map(|name| server.cookie(name));
    for n in 0..many {
        let cookie = match n % 3 {
            0 => String::new(),
            1 => format!("Cookie: {session}=made-up-{n}; {device}={n:022}; {visitor}={n:022}\r\n"),
            _ => {
                format!("Cookie: {session}=aiq_1795460400{n:03}_{n:022}.{n:043}\r\nX-Forwarded-For: 203.0.113.7\r\n")
            }
        };
        let request = requests[n % requests.len()];
        write!(stream.get_mut(), "{request} HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n").expect("a request");
        let head = request.starts_with("HEAD");
        let answer = if head { one_head(&mut stream) } else { one_answer(&mut stream) };
        assert!(!answer.starts_with("HTTP/1.1 5"), "{request}: {answer}");
        assert!(!answer.contains("set-cookie: aiq_session") && !answer.contains("set-cookie: aiq_device"), "{answer}");
    }
    assert_eq!(rows(&db), before, "after {many} requests");
}

#[test]
fn idle_connections_are_held_in_little_memory() {
    let many = if is_long() { 2000 } else { 500 };
    raise_open_files();
    let db = TestDb::new(Engine::Sqlite);
    let server = Server::start(&db, &[]);
    let before = memory(&server, "VmRSS:");
    let held: Vec<BufReader<TcpStream>> = (0..many)
        .map(|_| {
            let mut stream = connect(server.port);
            stream.get_mut().write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request");
            assert!(one_answer(&mut stream).starts_with("HTTP/1.1 200 "));
            stream
        })
        .collect();
    let (after, peak) = (memory(&server, "VmRSS:"), memory(&server, "VmHWM:"));
    println!("{many} idle connections: {} KiB each, peak {} MiB", after.saturating_sub(before) / many, peak / 1024);
    assert!(peak < MOST_MEMORY, "{peak} KiB");
    assert_eq!(server.client().get("/healthz").status, 200, "another connection is accepted");
    drop(held);
}

/// The number of rows of each table.
fn rows(db: &TestDb) -> BTreeMap<String, String> {
    let tables = match db.engine {
        Engine::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        Engine::Postgres => "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
    };
    let names = db.sql(tables);
    assert!(names.lines().count() > 5, "{names}");
    names.lines().map(|name| (name.to_owned(), db.sql(&format!("SELECT count(*) FROM {name}")))).collect()
}

fn connect(port: u16) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
    stream.set_nodelay(true).expect("an option");
    BufReader::new(stream)
}

fn one_answer(stream: &mut BufReader<TcpStream>) -> String {
    let mut answer = one_head(stream);
    let length = answer.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().expect("a length"))];
    stream.read_exact(&mut body).expect("a body");
    answer += &String::from_utf8_lossy(&body);
    answer
}

fn one_head(stream: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).expect("an answer") > 0, "closed after {head:?}");
    }
    head
}

/// The program's current (`VmRSS:`) or peak (`VmHWM:`) memory, in KiB.
pub fn memory(server: &Server, which: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("its state");
    let line = status.lines().find_map(|line| line.strip_prefix(which)).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The clients' connections need file descriptors in this process.
pub fn raise_open_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("a limit");
}
