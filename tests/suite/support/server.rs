//! The program served in its own process.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::ops::Deref;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{
    TestDb,
    served::{Served, secret_of_link},
};

/// A running process. Dropping it kills the process.
pub struct Server {
    child: Child,
    served: Served,
    lines: mpsc::Receiver<String>,
    log: Arc<Mutex<String>>,
    log_reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves on a free port with additional settings. The public origin is `http://localhost:PORT` unless they change
    /// it.
    pub fn start(db: &TestDb, more: &[(&str, &str)]) -> Self {
        Self::start_on(db, 0, more)
    }

    /// Like [`Server::start`], but on this port.
    pub fn start_on(db: &TestDb, port: u16, more: &[(&str, &str)]) -> Self {
        let mut child = command(db, more)
            .arg("serve")
            .env("SESSILE_LISTEN", format!("127.0.0.1:{port}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program");
        let (send, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("stdout"));
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let log = Arc::new(Mutex::new(String::new()));
        let mut stderr = child.stderr.take().expect("stderr");
        let written = Arc::clone(&log);
        let log_reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut buffer) {
                written.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        let mut server = Self { child, served: Served::default(), lines, log, log_reader: Some(log_reader) };
        server.served = Served::from_line(&server.line());
        server
    }

    /// The next line of stdout.
    pub fn line(&self) -> String {
        self.lines
            .recv_timeout(Duration::from_secs(30))
            .unwrap_or_else(|_| panic!("no line on stdout; the log is:\n{}", self.log()))
    }

    /// The log up to now.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The secret in the setup link on the second line.
    pub fn setup_token(&self) -> String {
        secret_of_link(&self.line())
    }

    /// Kills the process with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("a process to kill");
        self.child.wait().expect("an exit status");
    }

    /// Stops the process with SIGTERM, as a supervisor does, and returns its exit code.
    pub fn terminate(self) -> Option<i32> {
        self.end_by("-TERM")
    }

    /// Stops the process with SIGINT, as Ctrl-C does, and returns its exit code. This is faster than SIGTERM.
    pub fn interrupt(self) -> Option<i32> {
        self.end_by("-INT")
    }

    fn end_by(mut self, signal: &str) -> Option<i32> {
        let asked = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill");
        assert!(asked.success());
        self.child.wait().expect("an exit status").code()
    }

    /// Stops the process with SIGINT. Returns its exit code and its whole stderr.
    pub fn stopped(self) -> (Option<i32>, String) {
        let asked = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().expect("kill");
        assert!(asked.success());
        self.ended()
    }

    /// Waits until the process exits by itself. Returns its exit code and its whole stderr.
    pub fn ended(mut self) -> (Option<i32>, String) {
        // stdout closes when the process exits.
        let end = loop {
            if let Err(end) = self.lines.recv_timeout(Duration::from_secs(60)) {
                break end;
            }
        };
        assert_eq!(end, mpsc::RecvTimeoutError::Disconnected, "the process does not exit; the log is:\n{}", self.log());
        let code = self.child.wait().expect("an exit status").code();
        self.log_reader.take().expect("a reader").join().expect("a thread that does not panic");
        (code, self.log())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Deref for Server {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.served
    }
}

#[expect(clippy::print_stderr, reason = "the log helps to explain a failed case")]
impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(8).collect();
            eprintln!("the last lines of the server's log, the latest first:\n{}", last.join("\n"));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program with this database and an otherwise empty environment.
pub fn command(db: &TestDb, more: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessile"));
    command
        .env_clear()
        .current_dir(&db.folder)
        .env("DATABASE_URL", db.url())
        .env("SESSILE_KEY_FILE", db.key_file())
        .envs(more.iter().copied());
    command
}

/// Runs a command of the program until it exits.
pub fn sessile(db: &TestDb, args: &[&str], stdin: &str) -> Output {
    let mut child = command(db, &[])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    let mut pipe: ChildStdin = child.stdin.take().expect("stdin");
    pipe.write_all(stdin.as_bytes()).expect("stdin");
    drop(pipe);
    child.wait_with_output().expect("an exit status")
}
