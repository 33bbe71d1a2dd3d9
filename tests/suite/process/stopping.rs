//! SIGTERM and SIGINT. The server reports that it is not ready, answers the requests under way, writes the queued
//! touches and exits with 0, without waiting for idle connections.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{KIM, ask_to_stop, count, to_end};
use crate::support::{Engine, PASSWORD, Server, TestDb, add_user, command, eventually, on_both_engines, run};

on_both_engines! {
    touches_that_wait_are_written_before_the_end,
}

async fn touches_that_wait_are_written_before_the_end(db: TestDb) {
    add_user(&db, KIM, "owner");
    for _ in 0..3 {
        let server = Server::start(&db, &[]);
        let mut client = server.client();
        client.log_in(KIM);
        db.sql("UPDATE sessions SET last_activity = INSTANT(-600)");
        let answer = client.get("/api/session");
        assert_eq!(answer.status, 200);
        assert!(answer.sets("aiq_session").is_some(), "a touch renews the cookie: {answer:?}");
        // SIGINT stops at once, so the queued touch is written by the shutdown.
        assert_eq!(server.interrupt(), Some(0));
        assert_eq!(count(&db, "sessions WHERE last_activity < INSTANT(-300) AND ended_at IS NULL"), 0);
        db.sql("DELETE FROM sessions");
    }
}

/// A shell sends the signal faster than a process that has to be started first.
const SIGNAL_AT_THE_FIRST_LINE: &str = r#"
    mkfifo lines
    "$0" serve >lines 2>log &
    exec 3<lines
    read -r line <&3
    kill -TERM $!
    wait $!
    echo "$? after: $line"
    rm lines
"#;

#[test]
fn a_signal_right_after_the_first_line_is_heard() {
    // In parallel, because each takes two seconds.
    std::thread::scope(|scope| (0..20).for_each(|_| drop(scope.spawn(signal_at_the_first_line))));
}

fn signal_at_the_first_line() {
    let db = TestDb::new(Engine::Sqlite);
    let server = command(&db, &[("SESSILE_LISTEN", "127.0.0.1:0")]);
    let mut shell = Command::new("sh");
    shell.args(["-c", SIGNAL_AT_THE_FIRST_LINE]).arg(server.get_program()).current_dir(&db.folder);
    shell.env_clear().envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ended = to_end(shell, "");
    assert!(
        ended.stdout.starts_with("0 after: sessile: listening on"),
        "the process died of the signal (128 + 15): {ended:?}"
    );
}

/// A load balancer that checks every half second notices before any request is refused.
#[test]
fn after_sigterm_requests_are_answered_for_two_seconds() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[]);
    assert_eq!(server.client().get("/readyz").status, 200);
    let asked = Instant::now();
    ask_to_stop(&server);
    let mut answers = Vec::new();
    // On a new connection each time.
    while let Ok(ready) = server.client().try_send("GET", "/readyz", &[], b"") {
        let page = server.client().try_send("GET", "/login", &[], b"").map(|page| page.status);
        answers.push((asked.elapsed(), ready.status, page.ok()));
    }
    let refused = asked.elapsed();
    println!("{} were answered, and none after {refused:?}", answers.len());
    assert!(refused >= Duration::from_millis(1900), "{answers:?}");
    assert!(refused < Duration::from_secs(8), "{refused:?}");
    let not_ready = answers.iter().position(|(_, ready, _)| *ready == 503).expect("an answer that it is not ready");
    assert!(not_ready <= 3 && answers[not_ready..].iter().all(|(_, ready, _)| *ready == 503), "{answers:?}");
    let well = answers.iter().filter(|(at, _, _)| *at < Duration::from_millis(1900));
    assert!(well.clone().count() > 0 && well.clone().all(|(_, _, page)| *page == Some(200)), "{answers:?}");
    let (code, log) = server.ended();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn sigint_and_a_second_signal_stop_without_the_delay() {
    let db = TestDb::new(Engine::Sqlite);
    let quickest = |end: &dyn Fn(Server) -> Duration| (0..3).map(|_| end(Server::start(&db, &[]))).min();
    let twice = quickest(&|server| {
        ask_to_stop(&server);
        while !server.log().contains("stopping") {
            std::thread::yield_now();
        }
        let asked = Instant::now();
        assert_eq!(server.terminate(), Some(0));
        asked.elapsed()
    });
    let terminal = quickest(&|server| {
        let asked = Instant::now();
        assert_eq!(server.interrupt(), Some(0));
        asked.elapsed()
    });
    println!("a second signal: {twice:?}; from a terminal: {terminal:?}");
    assert!(twice < Some(Duration::from_millis(1500)) && terminal < Some(Duration::from_millis(1500)));
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let db = TestDb::new(Engine::Sqlite);
    let server = Server::start(&db, &[]);
    let idle: Vec<TcpStream> = (0..3).map(|_| kept_alive(&server)).collect();
    let started = Instant::now();
    assert_eq!(server.interrupt(), Some(0));
    println!("the end with three idle connections took {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    drop(idle);
}

/// A keep-alive connection that has received its answer.
fn kept_alive(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request");
    let mut head = BufReader::new(stream.try_clone().expect("a connection"));
    let mut line = String::new();
    head.read_line(&mut line).expect("an answer");
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    stream
}

#[test]
fn a_request_that_is_under_way_is_answered_before_the_end() {
    run(Engine::Sqlite, async |db: TestDb| {
        add_user(&db, KIM, "owner");
        let server = Server::start(&db, &[]);
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
        let body = format!(r#"{{"email": "{KIM}", "password": "{PASSWORD}"}}"#);
        let head = format!(
            "POST /api/establish-session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("a head");
        // `100 Continue` shows that the head has arrived.
        let mut told = [0; 25];
        stream.read_exact(&mut told).expect("a word");
        assert!(told.starts_with(b"HTTP/1.1 100 Continue"), "{}", String::from_utf8_lossy(&told));
        ask_to_stop(&server);
        eventually("the shutdown begins", async || server.log().contains("stopping")).await;
        stream.write_all(body.as_bytes()).expect("a body");
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        drop(stream);
        assert_eq!(server.terminate(), Some(0));
        assert_eq!(count(&db, "sessions WHERE ended_at IS NULL"), 1);
    });
}
