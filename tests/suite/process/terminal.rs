//! The program on a terminal: hidden password prompts, and output that a pipe does not get.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{KIM, subscribers::many_accounts};
use crate::support::{Engine, PASSWORD, Server, TestDb, add_user, command, sessile};

/// A pseudo-terminal. Writing to it types, and its output can be read.
struct Terminal {
    keyboard: File,
    screen: mpsc::Receiver<String>,
    shown: String,
    own: OwnedFd,
}

impl Terminal {
    fn new() -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&ours).expect("a terminal");
        unlockpt(&ours).expect("a terminal");
        let name = ptsname(&ours, Vec::new()).expect("its name");
        let own = rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).expect("it");
        let size = rustix::termios::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&own, size).expect("its size");
        let keyboard = File::from(ours);
        let mut reading = keyboard.try_clone().expect("its screen");
        let (send, screen) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reading.read(&mut buffer) {
                if send.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).is_err() {
                    break;
                }
            }
        });
        Self { keyboard, screen, shown: String::new(), own }
    }

    fn stdio(&self) -> Stdio {
        self.own.try_clone().expect("a terminal").into()
    }

    fn spawn(&self, program: &mut Command) -> Child {
        program.env("TERM", "xterm").stdin(self.stdio()).stdout(self.stdio()).stderr(self.stdio());
        program.spawn().expect("the program")
    }

    /// Waits until the terminal shows these words.
    fn wait_for(&mut self, words: &str) {
        while !self.shown.contains(words) {
            let more = self.screen.recv_timeout(Duration::from_secs(30));
            self.shown += &more.unwrap_or_else(|_| panic!("{words} is not shown: {}", self.shown));
        }
    }

    fn type_line(&mut self, line: &str) {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).expect("a keyboard");
    }

    fn shows_what_is_typed(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.own).expect("its modes").local_modes;
        modes.contains(rustix::termios::LocalModes::ECHO)
    }
}

#[test]
fn a_password_is_asked_for_twice_and_not_shown() {
    let db = TestDb::new(Engine::Sqlite);
    let add = ["user", "add", "--email", KIM, "--role", "owner"];
    for (again, code) in [("something else 42", 1), (PASSWORD, 0)] {
        let mut terminal = Terminal::new();
        let mut child = terminal.spawn(command(&db, &[("SESSILE_LOG", "off")]).args(add));
        terminal.wait_for("New password: ");
        assert!(!terminal.shows_what_is_typed());
        terminal.type_line(PASSWORD);
        terminal.wait_for("Repeat the password: ");
        terminal.type_line(again);
        assert_eq!(child.wait().expect("an exit status").code(), Some(code), "{}", terminal.shown);
        assert!(terminal.shows_what_is_typed(), "the echo is on again");
        if code == 1 {
            terminal.wait_for("differ");
        }
        assert!(!terminal.shown.contains(PASSWORD) && !terminal.shown.contains(again), "{}", terminal.shown);
    }
    assert_eq!(Server::start(&db, &[]).client().try_log_in(KIM, PASSWORD).status, 200);
}

#[test]
fn an_interrupted_prompt_restores_the_echo() {
    let db = TestDb::new(Engine::Sqlite);
    let mut terminal = Terminal::new();
    let mut child = terminal.spawn(command(&db, &[("SESSILE_LOG", "off")]).args(["user", "set-password", KIM]));
    terminal.wait_for("New password: ");
    let asked = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(asked.success());
    assert_eq!(child.wait().expect("an exit status").code(), Some(130));
    assert!(terminal.shows_what_is_typed());
}

#[test]
fn at_a_terminal_the_setup_link_stands_in_a_box() {
    let db = TestDb::new(Engine::Sqlite);
    let mut terminal = Terminal::new();
    let mut child = terminal.spawn(command(&db, &[("SESSILE_LISTEN", "127.0.0.1:0")]).arg("serve"));
    terminal.wait_for("╯");
    child.kill().expect("a process to kill");
    child.wait().expect("an exit status");
    let lines: Vec<&str> = terminal.shown.lines().map(str::trim_end).collect();
    let origin = lines.iter().find_map(|line| line.strip_prefix("sessile: listening on ")).expect("its first line");
    assert!(origin.starts_with("http://localhost:"), "{lines:#?}");
    let [.., top, link, bottom] = lines[..] else { panic!("{lines:#?}") };
    assert!(top.starts_with('╭') && bottom.ends_with('╯'), "the box comes last: {lines:#?}");
    assert!(link.contains(&format!("sessile: create the owner at {origin}/setup?token=")), "{link}");
    assert_eq!(top.chars().count(), link.chars().count());
    let migrated = lines.iter().filter(|line| line.contains("schema brought up to date"));
    assert_eq!(migrated.count(), 1, "{lines:#?}");
}

#[test]
fn a_clean_up_on_a_terminal_can_be_stopped_and_goes_on_where_it_was() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    db.sql(&format!(
        "INSERT INTO sessions (id, secret_hash, account_id, created_at, authenticated_at, last_activity, expires_at, \
         absolute_expires_at, browser, os, kind, installed, version, state, data) WITH RECURSIVE n(i) AS (SELECT 1 UNION \
         ALL SELECT i + 1 FROM n WHERE i < {EXPIRED}) SELECT 'aiq_1_' || i, x'00', id, INSTANT(-300000), \
         INSTANT(-300000), INSTANT(-300000), INSTANT(-9), INSTANT(-9), '', '', 'other', 0, 1, jsonb('{{}}'), '{{}}' \
         FROM n, accounts"
    ));
    let mut terminal = Terminal::new();
    let mut child = terminal.spawn(command(&db, &[("SESSILE_LOG", "off")]).arg("prune"));
    terminal.wait_for("expired and old sessions");
    let asked = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(asked.success());
    assert_eq!(child.wait().expect("an exit status").code(), Some(1));
    terminal.wait_for("run `sessile prune` again to go on");
    let ended =
        || db.sql("SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL").parse::<usize>().expect("a number");
    let first = ended();
    assert!(first < EXPIRED, "it stopped: {}", terminal.shown);
    assert!(terminal.shown.contains(&format!("ended {first}, deleted 0")), "it says what it did: {}", terminal.shown);

    let rest = sessile(&db, &["prune"], "");
    assert_eq!(String::from_utf8_lossy(&rest.stdout), format!("ended {}, deleted 0\n", EXPIRED - first));
    assert_eq!(String::from_utf8_lossy(&rest.stderr), "", "no progress without a terminal");
    assert_eq!(ended(), EXPIRED);
}

const EXPIRED: usize = 40_000;

/// A command that was asked to stop as soon as its line was shown. Returns what the terminal shows.
pub fn stopped(db: &TestDb, args: &[&str], line: &str) -> String {
    let mut terminal = Terminal::new();
    let mut child = terminal.spawn(command(db, &[("SESSILE_LOG", "off")]).args(args));
    terminal.wait_for(line);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill").success());
    assert_eq!(child.wait().expect("an exit status").code(), Some(1));
    terminal.wait_for("stopped: ");
    terminal.shown
}

#[test]
fn an_export_on_a_terminal_can_be_stopped_and_leaves_the_old_file() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    many_accounts(&db, MANY_ACCOUNTS);
    let file = db.folder.join("subscribers.json");
    std::fs::write(&file, "old").expect("a file");
    let shown = stopped(&db, &["subscribers", "export"], "writing accounts");
    assert!(shown.contains("subscribers.json was not changed"), "{shown}");
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), "old");
    let shown = stopped(&db, &["session", "list"], "reading sessions");
    assert!(shown.contains("nothing was listed") && !shown.contains("until"), "{shown}");
    let parts =
        std::fs::read_dir(&db.folder).expect("the folder").filter_map(|one| one.ok()?.file_name().into_string().ok());
    assert_eq!(parts.filter(|name| name.starts_with(".subscribers")).count(), 0, "no part of a file is left");
}

const MANY_ACCOUNTS: usize = 60_000;

#[test]
fn a_check_of_the_audit_trail_on_a_terminal_goes_on_where_it_was_stopped() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    drop(Server::start(&db, &[]));
    many_accounts(&db, MANY_ACCOUNTS);
    // Nothing sealed the accounts that were just added, so each of them is a finding.
    let shown = stopped(&db, &["doctor"], "checking audit events");
    assert!(shown.contains("FAIL audit trail: account acc_1:"), "it says what it found: {shown}");
    assert!(shown.contains("keep a copy, and compare with a backup"), "with the remedy: {shown}");
    let (_, advice) = shown.split_once("--trail-after ").expect("where to go on");
    let last: String = advice.chars().take_while(|one| !"`\r\n ".contains(*one)).collect();
    let next = db.sql(&format!("SELECT min(id) FROM accounts WHERE id > '{last}' AND search = ''"));
    let rest = sessile(&db, &["doctor", "--trail-after", &last], "");
    let rest = String::from_utf8_lossy(&rest.stdout).into_owned();
    assert!(rest.contains(&format!("FAIL audit trail: account {next}:")), "{rest}");
    let unknown = sessile(&db, &["doctor", "--trail-after", KIM], "");
    let unknown = String::from_utf8_lossy(&unknown.stdout).into_owned();
    assert!(unknown.contains("FAIL audit trail: not checked: there is no account with the id"), "{unknown}");
    let newest = db.sql("SELECT max(id) FROM accounts");
    let none = sessile(&db, &["doctor", "--trail-after", &newest], "");
    let none = String::from_utf8_lossy(&none.stdout).into_owned();
    let said = format!("; accounts up to {newest} were not checked");
    assert!(none.contains("ok  audit trail: ") && none.contains(&said), "{none}");
}
