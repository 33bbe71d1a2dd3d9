//! The first start, in an empty folder and without any settings.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::{Ended, to_end};
use crate::support::PASSWORD;

/// A folder. Dropping it deletes the folder.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(sessile::base::secret::random_name("sessile_test_").unwrap());
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    /// The program in this folder, with an empty environment.
    fn program(&self, args: &[&str]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_sessile"));
        program.env_clear().current_dir(&self.0).args(args);
        program
    }

    fn mode(&self, name: &str) -> u32 {
        std::fs::metadata(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")).permissions().mode()
            & 0o777
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn an_empty_folder_and_a_free_port_are_all_it_needs() {
    let folder = Folder::new();
    let mut first = Run::start(&folder, &[]);
    let port: u16 = first.line().strip_prefix("sessile: listening on http://127.0.0.1:").unwrap().parse().unwrap();
    let link = first.line();
    let token = link.strip_prefix(&format!("sessile: create the owner at http://localhost:{port}/setup?token="));
    assert!(token.is_some_and(|token| token.len() == 43), "{link}");
    assert_eq!(folder.mode("data"), 0o700);
    for entry in std::fs::read_dir(folder.0.join("data")).unwrap() {
        let name = format!("data/{}", entry.unwrap().file_name().to_string_lossy());
        // Skip a socket that is not renamed to its final name yet.
        if name.ends_with(".new") {
            continue;
        }
        assert_eq!(folder.mode(&name), 0o600, "{name}");
    }
    assert!(folder.0.join("data/session.key").exists() && folder.0.join("data/sessile.sqlite3").exists());
    let (rest, log) = first.stop();
    assert_eq!(rest, [""; 0], "exactly two lines");
    assert!(!log.contains(token.unwrap()), "the link's secret is in the log:\n{log}");

    let mut second = Run::start(&folder, &[]);
    second.line();
    let another = second.line();
    assert!(another.contains("/setup?token=") && another != link, "each start creates a new link: {another}");
    assert_eq!(second.stop().0, [""; 0]);
}

#[test]
fn there_is_one_line_only_when_there_is_an_owner() {
    let folder = Folder::new();
    let owner = ["user", "add", "--email", "kim@example.com", "--role", "owner", "--password-stdin"];
    assert_eq!(to_end(folder.program(&owner), PASSWORD).code, Some(0));
    let mut run = Run::start(&folder, &["serve"]);
    assert!(run.line().starts_with("sessile: listening on http://127.0.0.1:"));
    run.wait_for("serving");
    assert_eq!(run.stop().0, [""; 0]);
}

/// Another process may use the default port. Then the case expects the error for that.
#[test]
fn it_listens_on_port_8080_of_loopback_by_default() {
    let folder = Folder::new();
    let mut run = Run::spawn(folder.program(&[]));
    let line = run.next_line();
    if let Some(line) = line {
        assert_eq!(line, "sessile: listening on http://127.0.0.1:8080");
        assert!(run.line().starts_with("sessile: create the owner at http://localhost:8080/setup?token="));
        assert_eq!(run.stop().0, [""; 0]);
        return;
    }
    let mut quiet = folder.program(&[]);
    quiet.env("SESSILE_LOG", "off").env("SESSILE_LISTEN", "127.0.0.1:8080");
    let taken = std::net::TcpListener::bind(("127.0.0.1", 8080));
    let ended: Ended = to_end(quiet, "");
    drop(taken);
    ended.refused(&["SESSILE_LISTEN", "127.0.0.1:8080"]);
}

/// A running program.
struct Run {
    child: Child,
    stdout: std::io::Lines<BufReader<std::process::ChildStdout>>,
    log: PathBuf,
}

impl Run {
    fn start(folder: &Folder, args: &[&str]) -> Self {
        let mut program = folder.program(args);
        program.env("SESSILE_LISTEN", "127.0.0.1:0");
        Self::spawn(program)
    }

    fn spawn(mut program: Command) -> Self {
        let started = Instant::now();
        // The log is outside the data folder, so that only the program writes there.
        let log = program.get_current_dir().expect("a folder").join("log");
        let stderr = std::fs::File::create(&log).unwrap();
        let mut child =
            program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().expect("the program");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
        let _ = stdout.fill_buf();
        println!("from its start to its first line: {:?}", started.elapsed());
        Self { child, stdout: stdout.lines(), log }
    }

    fn line(&mut self) -> String {
        self.next_line().unwrap_or_else(|| panic!("no line; the log is:\n{}", read(&self.log)))
    }

    fn next_line(&mut self) -> Option<String> {
        self.stdout.next().map(|line| line.expect("text"))
    }

    fn wait_for(&self, words: &str) {
        for _ in 0..600 {
            if read(&self.log).contains(words) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("{words} is not in the log:\n{}", read(&self.log));
    }

    /// Stops the program. Returns its remaining lines and its log.
    fn stop(mut self) -> (Vec<String>, String) {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill");
        assert!(asked.success());
        let rest = self.stdout.by_ref().map(Result::unwrap).collect();
        assert_eq!(self.child.wait().expect("an exit status").code(), Some(0));
        (rest, read(&self.log))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}
