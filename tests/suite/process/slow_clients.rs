//! Clients that are too slow. The program runs inside the test process with limits of about a second.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sessile::web::limits::Limits;

use super::KIM;
use crate::support::{App, Engine, PASSWORD, TestDb, add_user};

/// More than a second, because Actix's clock ticks only twice a second, which can shorten the limit of the first head.
const QUICK: Duration = Duration::from_millis(1200);
/// Longer than any case takes, for the limits that a case does not test.
const LONG: Duration = Duration::from_secs(600);
const SLOW: Limits = Limits { head: LONG, body: LONG, answer: LONG, keep_alive: LONG, slowest: 1 };

#[test]
fn a_slow_body_is_cut_with_408() {
    // Bytes after the answer count as a slow head.
    let served = Served::start(Limits { body: QUICK, head: QUICK, ..SLOW });
    let json = "POST /api/establish-session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let form = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let bodies =
        [("Content-Length: 1000\r\n\r\n{", " "), ("Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", "1\r\n \r\n")];
    for (lengths, more) in bodies {
        for (head, kind) in [(json, "application/problem+json"), (form, "text/html")] {
            let answer = served.trickle(&format!("{head}{lengths}"), more);
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
            assert!(answer.contains(&format!("content-type: {kind}")) && answer.contains("x-request-id: "), "{answer}");
            assert!(kind.starts_with("text") || answer.contains("\"request-timeout\""), "{answer}");
            assert!(answer.contains("connection: close"), "{answer}");
        }
    }
}

#[test]
fn a_body_that_arrives_in_pieces_and_in_time_is_taken() {
    let served = Served::start(SLOW);
    let body = format!(r#"{{"email": "{KIM}", "password": "{PASSWORD}"}}"#);
    for chunked in [false, true] {
        let lengths =
            if chunked { "Transfer-Encoding: chunked".into() } else { format!("Content-Length: {}", body.len()) };
        let mut stream = served.connect();
        let head = "POST /api/establish-session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        write!(stream, "{head}Content-Type: application/json\r\n{lengths}\r\n\r\n").unwrap();
        for piece in body.as_bytes().chunks(20) {
            let piece = String::from_utf8_lossy(piece);
            if chunked { write!(stream, "{:x}\r\n{piece}\r\n", piece.len()) } else { write!(stream, "{piece}") }
                .unwrap();
        }
        if chunked {
            stream.write_all(b"0\r\n\r\n").unwrap();
        }
        let answer = rest(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[test]
fn a_slow_head_is_cut_be_it_the_first_or_a_later_one() {
    let served = Served::start(Limits { head: QUICK, ..SLOW });
    let answer = served.trickle("GET /healthz HTTP/1.1\r\nX-Slow: ", "a");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let later = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = served.trickle(&format!("{later}GET /healthz HTTP/1.1\r\nX-Slow: "), "a");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.matches("HTTP/1.1").count() <= 2, "{answer}");
    // The same for a head that begins after the first answer was read.
    let mut stream = served.connect();
    stream.write_all(later.as_bytes()).unwrap();
    assert!(read_some(&mut stream).starts_with("HTTP/1.1 200 "));
    assert_eq!(trickle_on(&mut stream, "G"), "");
}

#[test]
fn an_idle_connection_is_closed() {
    let served = Served::start(Limits { keep_alive: QUICK, ..SLOW });
    let mut stream = served.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let answer = rest(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok\n"), "{answer}");
}

#[test]
fn a_connection_without_a_request_is_closed() {
    let served = Served::start(Limits { head: QUICK, ..SLOW });
    let answer = rest(&mut served.connect());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn a_client_that_takes_no_answers_is_cut() {
    let served = Served::start(Limits { answer: QUICK, ..SLOW });
    let mut stream = served.connect();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    let many = "GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    let started = Instant::now();
    // The client reads nothing. In the end a write fails, because the buffers are full or the connection is reset.
    let error = loop {
        if let Err(error) = stream.write_all(many.as_bytes()) {
            break error;
        }
    };
    let kind = error.kind();
    assert!(matches!(kind, std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe), "{error}");
    println!("a client that takes no answers was cut after {:?}", started.elapsed());
}

/// The program in a thread of the test process.
struct Served {
    app: App,
    _db: TestDb,
}

impl Served {
    fn start(limits: Limits) -> Self {
        let db = TestDb::new(Engine::Sqlite);
        add_user(&db, KIM, "owner");
        Self { app: App::start_within(&db, &[("SESSILE_WORKERS", "1")], limits), _db: db }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.app.port)).expect("a connection")
    }

    /// Sends the beginning of a request at once and the rest slowly. Returns everything received until the end.
    fn trickle(&self, beginning: &str, more: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(beginning.as_bytes()).expect("an open connection");
        trickle_on(&mut stream, more)
    }
}

fn trickle_on(stream: &mut TcpStream, more: &str) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a limit");
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < Duration::from_secs(20), "still open: {}", String::from_utf8_lossy(&answer));
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                let _ = stream.write_all(more.as_bytes());
            }
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Everything received until the server closes the connection, for at most half a minute.
fn rest(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn read_some(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer).expect("an answer");
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}
