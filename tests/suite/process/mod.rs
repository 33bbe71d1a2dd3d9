//! The program as a process: killed and restarted, as several nodes, next to its commands, and with a database that
//! becomes unavailable and returns.

#![expect(clippy::print_stdout, reason = "times and counts, for whoever asks cargo to show them")]

mod accounts;
mod backup;
mod bounded_growth;
mod clients_gone;
mod closed_output;
pub mod cluster;
mod database_away;
mod database_hangs;
mod database_refusals;
mod doctor;
mod email_addresses;
mod expiry;
pub mod faults;
mod first_start;
mod flood;
pub mod https;
mod keys;
mod killed;
mod killed_while_all_end;
mod nginx;
mod nodes;
mod other_users;
mod patroni;
mod people;
pub mod pooler;
pub mod psql;
mod readiness;
mod replaced_sqlite_file;
mod rotation;
mod sealed_factors;
mod sessions;
mod slow_clients;
mod standby;
mod stopping;
mod subscribers;
pub mod terminal;
mod tls;
mod usage;
mod wrong_folder;

use std::io::{Read, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Answer, Server, TestDb, command, is_long, lasting_port};

/// The owner in every case.
const KIM: &str = "kim@example.com";

/// The result of a program.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    /// The stdout of a successful run.
    fn said(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.stdout
    }

    /// Checks that the run failed with one line on stderr that contains each of these words.
    fn refused(&self, words: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{self:?}");
        assert!(self.stderr.starts_with("sessile: ") && self.stderr.ends_with('\n'), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word} is not in the message: {self:?}");
        }
    }
}

/// Runs a program until it exits, for at most a minute.
fn to_end(mut program: Command, stdin: &str) -> Ended {
    let mut child =
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
    let mut pipe = child.stdin.take().expect("stdin");
    // Fails if the program rejects its arguments before it reads stdin.
    let _ = pipe.write_all(stdin.as_bytes());
    drop(pipe);
    let stdout = reader(child.stdout.take().expect("stdout"));
    let stderr = reader(child.stderr.take().expect("stderr"));
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("its state") {
            break status;
        }
        if started.elapsed() > Duration::from_secs(60) {
            child.kill().expect("a process to kill");
            child.wait().expect("an exit status");
            panic!("{program:?} did not end: {}{}", stdout.join().unwrap(), stderr.join().unwrap());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Ended { code: status.code(), stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

fn reader(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("text");
        text
    })
}

/// Runs a command on this database without logging.
fn ask(db: &TestDb, args: &[&str], stdin: &str) -> Ended {
    ask_with(db, &[], args, stdin)
}

/// Like [`ask`], with additional variables.
fn ask_with(db: &TestDb, more: &[(&str, &str)], args: &[&str], stdin: &str) -> Ended {
    let mut program = command(db, &[("SESSILE_LOG", "off"), ("SESSILE_LISTEN", "127.0.0.1:0")]);
    program.envs(more.iter().copied()).args(args);
    to_end(program, stdin)
}

/// Sends SIGTERM without waiting.
fn ask_to_stop(server: &Server) {
    let asked = Command::new("kill").args(["-TERM", &server.pid().to_string()]).status().expect("kill");
    assert!(asked.success());
}

fn count(db: &TestDb, what: &str) -> usize {
    db.sql(&format!("SELECT count(*) FROM {what}")).parse().expect("a number")
}

/// Checks for a 503 that follows the contract: it has `Retry-After` and sets no cookie.
fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    let seconds = answer.header("retry-after").and_then(|value| value.parse::<u32>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0), "{answer:?}");
    assert_eq!(answer.sets("aiq_session"), None, "{answer:?}");
    if answer.header("content-type") == Some("application/problem+json") {
        assert_eq!(answer.problem(), "unavailable");
    }
}

/// Checks for a 401 with this reason for the session's end, and that it sets no cookie.
fn assert_ended(answer: &Answer, reason: &str) {
    assert_eq!((answer.status, answer.problem().as_str()), (401, "session-ended"), "{answer:?}");
    assert_eq!(answer.json()["reason"], reason, "{answer:?}");
    assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
}
