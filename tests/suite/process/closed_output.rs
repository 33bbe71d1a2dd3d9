//! The service does not depend on stderr and stdout: each may be closed, full, or never read.

use std::fs::File;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{KIM, lasting_port, reader};
use crate::support::{Client, Engine, PASSWORD, TestDb, add_user, command};

/// The target of an output stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    /// A pipe whose reader has closed it.
    Closed,
    /// A full disk.
    Full,
    /// A pipe that is never read.
    Unread,
    /// A closed file descriptor.
    Absent,
}

impl Stream {
    fn stdio(self) -> Stdio {
        match self {
            Self::Full => File::options().write(true).open("/dev/full").expect("/dev/full").into(),
            _ => Stdio::piped(),
        }
    }
}

/// A started program. Dropping it kills the process.
struct Started {
    child: Child,
    client: Client,
}

impl Started {
    fn new(db: &TestDb, stream: Stream, more: &[(&str, &str)]) -> Self {
        let port = lasting_port();
        let mut program = command(db, more);
        program.arg("serve");
        if stream == Stream::Absent {
            program = Command::new("sh");
            program.args(["-c", r#"exec "$0" serve >&- 2>&-"#, env!("CARGO_BIN_EXE_sessile")]);
            program.env_clear().current_dir(&db.folder).envs(more.iter().copied());
            program.env("DATABASE_URL", db.url()).env("SESSILE_KEY_FILE", db.key_file());
        }
        program.env("SESSILE_LISTEN", format!("127.0.0.1:{port}"));
        let mut child = program.stdout(stream.stdio()).stderr(stream.stdio()).spawn().expect("the program");
        if stream == Stream::Closed {
            drop((child.stdout.take(), child.stderr.take()));
        }
        Self::of(child, port)
    }

    /// Waits until the program serves.
    fn of(mut child: Child, port: u16) -> Self {
        let address = format!("http://127.0.0.1:{port}");
        let mut client = Client::new(&address, &format!("http://localhost:{port}"));
        let began = Instant::now();
        while client.try_send("GET", "/readyz", &[], b"").map(|answer| answer.status).ok() != Some(200) {
            assert!(child.try_wait().expect("its state").is_none(), "the program exited");
            assert!(began.elapsed() < Duration::from_secs(30), "the program does not serve");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, client }
    }

    fn lost_lines(&mut self) -> u64 {
        let text = self.client.get("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix("sessile_log_lines_lost_total "));
        line.unwrap_or_else(|| panic!("{text}")).parse().expect("a number")
    }

    /// Waits until more than `many` lines were lost.
    fn loses_more_than(&mut self, many: u64) {
        let began = Instant::now();
        while self.lost_lines() <= many {
            assert!(began.elapsed() < Duration::from_secs(30), "{} lines were lost", self.lost_lines());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends SIGINT and returns the exit code. The process must exit although nobody reads its output.
    fn interrupted(mut self) -> Option<i32> {
        let asked = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().expect("kill");
        assert!(asked.success());
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return status.code();
            }
            assert!(began.elapsed() < Duration::from_secs(30), "the program does not exit");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_log_that_cannot_be_written_stops_no_request() {
    for stream in [Stream::Closed, Stream::Full, Stream::Unread, Stream::Absent] {
        for format in ["text", "json"] {
            let db = TestDb::new(Engine::Sqlite);
            add_user(&db, KIM, "owner");
            let mut started = Started::new(&db, stream, &[("SESSILE_LOG_FORMAT", format)]);
            started.client.log_in(KIM);
            // Write more lines than a pipe holds (64 KiB).
            for _ in 0..700 {
                assert_eq!(started.client.get("/healthz").status, 200, "{stream:?}, {format}");
            }
            assert_eq!(started.client.get("/api/session").status, 200, "{stream:?}, {format}");
            let lost = started.lost_lines();
            match stream {
                // A line about an answer is written, or lost, up to 10 ms later.
                Stream::Closed | Stream::Full => started.loses_more_than(700),
                Stream::Unread | Stream::Absent => {
                    assert_eq!(lost, 0, "{stream:?}, {format}: they wait, or are not wanted")
                }
            }
            assert_eq!(started.interrupted(), Some(0), "{stream:?}, {format}");
        }
    }
}

#[test]
fn lines_that_do_not_fit_in_an_unread_pipe_are_counted() {
    let db = TestDb::new(Engine::Sqlite);
    let mut started = Started::new(&db, Stream::Unread, &[("SESSILE_LOG", "trace")]);
    // Many times what the queue and the pipe hold: a request leaves about a kilobyte.
    let is_lost = (0..20_000).any(|_| {
        assert_eq!(started.client.get(&format!("/{}", "x".repeat(8_000))).status, 404);
        started.lost_lines() > 0
    });
    assert!(is_lost, "no line was lost");
    assert_eq!(started.interrupted(), Some(0));
}

#[test]
fn the_last_lines_before_the_end_are_written() {
    let db = TestDb::new(Engine::Sqlite);
    let mut server = crate::support::Server::start(&db, &[]);
    let id = server.client().get("/login").header("x-request-id").expect("a name").to_owned();
    server = {
        let (code, log) = server.stopped();
        assert_eq!(code, Some(0));
        assert!(log.contains(&id) && log.contains("no longer accepting connections"), "{log}");
        crate::support::Server::start(&db, &[])
    };
    // An exit because of an error: the schema is newer than the program.
    db.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231235959')");
    drop(server);
    let mut failed = command(&db, &[("SESSILE_LISTEN", "127.0.0.1:0")]);
    let out = failed.arg("serve").output().expect("its end");
    assert_eq!(out.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(stderr.lines().last().is_some_and(|line| line.starts_with("sessile: ")), "{stderr}");
}

#[test]
fn a_closed_pipe_is_quiet_and_a_full_disk_is_not() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let add = |stream: Stream, email: &str| {
        let mut program = command(&db, &[("SESSILE_LOG", "off")]);
        program.args(["user", "add", "--email", email, "--password-stdin"]);
        let mut child =
            program.stdin(Stdio::piped()).stdout(stream.stdio()).stderr(Stdio::piped()).spawn().expect("the program");
        if stream == Stream::Closed {
            drop(child.stdout.take());
        }
        std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), PASSWORD.as_bytes()).expect("stdin");
        let stderr = reader(child.stderr.take().expect("stderr"));
        (child.wait().expect("an exit status").code(), stderr.join().expect("text"))
    };
    assert_eq!(add(Stream::Closed, "a@example.com"), (Some(0), String::new()));
    let (code, said) = add(Stream::Full, "b@example.com");
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("stdout cannot be written"), "{said}");
    assert_eq!(db.sql("SELECT count(*) FROM accounts"), "3", "both accounts were created");
}

#[test]
fn a_failing_command_exits_with_closed_output() {
    let db = TestDb::new(Engine::Sqlite);
    for stream in [Stream::Closed, Stream::Full] {
        let mut program = command(&db, &[("SESSILE_LOG", "off")]);
        let mut child = program
            .args(["session", "revoke", "nonsense"])
            .stdout(Stdio::piped())
            .stderr(stream.stdio())
            .spawn()
            .expect("the program");
        drop(child.stderr.take());
        let mut said = String::new();
        child.stdout.take().expect("stdout").read_to_string(&mut said).expect("text");
        assert_eq!((child.wait().expect("an exit status").code(), said.as_str()), (Some(1), ""), "{stream:?}");
    }
}

/// Reaching the limit kills a process with SIGXFSZ unless it ignores the signal.
#[test]
fn a_log_file_at_the_limit_of_file_sizes_stops_no_request() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let port = lasting_port();
    let mut program = Command::new("sh");
    // One megabyte per file, which is more than this database needs.
    program.args(["-c", r#"ulimit -f 2048; exec "$0" serve >> log 2>&1"#, env!("CARGO_BIN_EXE_sessile")]);
    program.env_clear().current_dir(&db.folder).env("DATABASE_URL", db.url()).env("SESSILE_KEY_FILE", db.key_file());
    program.env("SESSILE_LISTEN", format!("127.0.0.1:{port}"));
    let log = db.folder.join("log");
    std::fs::write(&log, vec![b'\n'; 1024 * 1024 - 512]).expect("a file");
    let mut started = Started::of(program.spawn().expect("the program"), port);
    started.client.log_in(KIM);
    assert!(started.lost_lines() > 0);
    assert_eq!(started.interrupted(), Some(0));
}
