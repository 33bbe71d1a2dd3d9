//! What other users of the machine can see: files, memory and core dumps. The program reports files that are open to
//! them.

use std::fs::{File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Ended, KIM, ask, to_end};
use crate::support::{Engine, PASSWORD, Server, TestDb, add_user, command};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn files_are_private_under_every_umask() {
    let db = TestDb::new(Engine::Sqlite);
    let run = |args: &[&str]| {
        let mut program = Command::new("sh");
        let start = ["-c", r#"umask 000; exec "$0" "$@""#, env!("CARGO_BIN_EXE_sessile")];
        program.args(start).args(args).env_clear().current_dir(&db.folder).env("SESSILE_LISTEN", "127.0.0.1:0");
        program.env("DATABASE_URL", db.url()).env("SESSILE_KEY_FILE", db.key_file());
        program
    };
    let add = ["user", "add", "--email", KIM, "--role", "owner", "--password-stdin"];
    assert_eq!(to_end(run(&add), PASSWORD).code, Some(0));
    let mut child = run(&["serve"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program");
    let mut first = [0; 20];
    child.stdout.as_mut().expect("stdout").read_exact(&mut first).expect("its first line");
    assert_eq!(to_end(run(&["subscribers", "export"]), "").code, Some(0));
    for entry in std::fs::read_dir(&db.folder).unwrap() {
        let path = entry.unwrap().path();
        // A socket may be renamed to its final name meanwhile.
        if path.exists() && !path.to_string_lossy().ends_with(".new") {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
    child.kill().expect("a process to kill");
    child.wait().expect("an exit status");
}

#[test]
fn files_that_others_can_read_are_reported() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let (key, file) = (db.folder.join("session.key"), db.folder.join("test.sqlite3"));
    set_mode(&key, 0o644);
    set_mode(&file, 0o644);
    let said = ask(&db, &["doctor"], "");
    assert_eq!(said.code, Some(1), "{said:?}");
    for (check, path) in [("key file", &key), ("database", &file)] {
        let begins = format!("FAIL {check}: ");
        let line = said.stdout.lines().find(|line| line.starts_with(&begins)).unwrap_or_else(|| panic!("{said:?}"));
        assert!(line.contains(&format!("chmod 600 {}", path.display())) && line.contains("644"), "{line}");
    }
    let log = log_of_a_start(&db, &[]);
    for (check, path) in [("key file", &key), ("database", &file)] {
        let warned = |line: &&str| {
            line.contains("WARN") && line.contains(check) && line.contains(&format!("chmod 600 {}", path.display()))
        };
        assert_eq!(log.lines().filter(warned).count(), 1, "{check}: {log}");
    }
    set_mode(&key, 0o600);
    for file in ["test.sqlite3", "test.sqlite3-wal", "test.sqlite3-shm"].map(|name| db.folder.join(name)) {
        if file.exists() {
            set_mode(&file, 0o600);
        }
    }
    assert_eq!(ask(&db, &["doctor"], "").code, Some(0));
    let log = log_of_a_start(&db, &[]);
    assert!(!log.contains("WARN"), "{log}");
}

#[test]
fn copies_and_the_key_of_the_certificate_count_too() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let made = super::https::Made::new();
    let [cert, tls] = ["cert.pem", "key.pem"].map(|name| db.folder.join(name));
    made.write(&cert, &tls);
    set_mode(&tls, 0o600);
    let copies = [("key file", "session.key.bak"), ("database", "test.sqlite3.old"), ("database", "of-monday")];
    let settings = [("SESSILE_TLS_CERT", cert.to_str().unwrap()), ("SESSILE_TLS_KEY", tls.to_str().unwrap())];
    let failed = |check: &str, path: &Path| {
        let said = super::ask_with(&db, &settings, &["doctor"], "").stdout;
        let begins = format!("FAIL {check}: ");
        said.lines().any(|line| line.starts_with(&begins) && line.contains(&path.display().to_string()))
    };
    for (check, name) in copies {
        let copy = db.folder.join(name);
        let original = db.folder.join(if check == "database" { "test.sqlite3" } else { "session.key" });
        std::fs::copy(original, &copy).unwrap();
        set_mode(&copy, 0o644);
        assert!(failed(check, &copy), "{name}");
        set_mode(&copy, 0o600);
        assert!(!failed(check, &copy), "{name}");
    }
    set_mode(&tls, 0o644);
    assert!(failed("tls", &tls));
}

/// Kubernetes mounts secrets this way: owned by root, with a group that the program belongs to.
#[test]
fn a_key_file_of_root_that_our_group_may_read_is_in_order() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let key = db.folder.join("session.key");
    let is_root = Command::new("chown").arg("1:0").arg(&key).stderr(Stdio::null()).status().expect("chown").success();
    if !is_root {
        return;
    }
    set_mode(&key, 0o440);
    assert_eq!(ask(&db, &["doctor"], "").code, Some(0));
    set_mode(&key, 0o444);
    assert!(ask(&db, &["doctor"], "").stdout.contains("FAIL key file: "));
}

#[test]
fn serve_warns_of_plain_text_passwords_and_open_proxies() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let cases: [(&[(&str, &str)], &str); 3] = [
        (&[("SESSILE_PUBLIC_URL", "http://id.example.com")], "in the clear"),
        (&[("SESSILE_PUBLIC_URL", "https://id.example.com")], "no proxy is trusted"),
        (&[("SESSILE_TRUSTED_PROXIES", "0.0.0.0/0")], "anybody may claim any address"),
    ];
    for (more, words) in cases {
        let log = log_of_a_start(&db, more);
        let warned = |line: &&str| line.contains("WARN") && line.contains("proxy trust") && line.contains(words);
        assert_eq!(log.lines().filter(warned).count(), 1, "{more:?}: {log}");
    }
}

/// The log of a server until it listens.
fn log_of_a_start(db: &TestDb, more: &[(&str, &str)]) -> String {
    let server = Server::start(db, more);
    let began = Instant::now();
    while !server.log().contains("serving") {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    server.stopped().1
}

#[test]
fn a_crash_leaves_no_memory_on_the_disk() {
    let db = TestDb::new(Engine::Sqlite);
    let server = Server::start(&db, &[]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("limits");
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    assert_eq!(line.split_whitespace().filter(|word| *word == "0").count(), 2, "{line}");
}

#[test]
fn no_password_stays_in_memory() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[]);
    let new = "quiet zebra crossing 81";
    let mut client = server.client();
    client.log_in(KIM);
    let csrf = client.form_token("/account");
    let fields = [("csrf", csrf.as_str()), ("current_password", PASSWORD), ("password", new)];
    assert_eq!(client.form("/account", &fields).status, 303);
    // The buffers of a connection are wiped when it closes.
    drop(client);
    let words: Vec<String> = [PASSWORD, new].iter().flat_map(|one| [one.to_string(), one.replace(' ', "+")]).collect();
    let began = Instant::now();
    while let Some(found) = found_in_memory(server.pid(), &words) {
        assert!(began.elapsed() < Duration::from_secs(30), "{found}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The first of these words in the process's writable memory.
fn found_in_memory(pid: u32, words: &[String]) -> Option<String> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("its memory map");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("its memory");
    for line in maps.lines().filter(|line| line.split_whitespace().nth(1).is_some_and(|mode| mode.starts_with("rw"))) {
        let (from, to) = line.split_whitespace().next().and_then(|range| range.split_once('-')).expect("a range");
        let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).expect("an address"));
        let mut content = vec![0; usize::try_from(to - from).expect("a size")];
        // The range may have been unmapped meanwhile.
        let read = memory.read_at(&mut content, from).unwrap_or(0);
        content.truncate(read);
        let text = String::from_utf8_lossy(&content);
        if let Some(word) = words.iter().find(|word| text.contains(word.as_str())) {
            return Some(format!("{word:?} in {line}"));
        }
    }
    None
}

#[test]
fn a_password_from_windows_is_refused_and_nothing_is_changed() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let cases = [
        (format!("{PASSWORD}\r\n"), "carriage return"),
        (format!("{PASSWORD}\r"), "carriage return"),
        (format!("\u{feff}{PASSWORD}"), "byte order mark"),
        (format!("\u{feff}{PASSWORD}\n"), "byte order mark"),
        (format!("{PASSWORD}\0"), "NUL"),
    ];
    let add = ["user", "add", "--email", "sam@example.com", "--password-stdin"];
    let set = ["user", "set-password", KIM, "--password-stdin"];
    for (typed, words) in &cases {
        for args in [&add[..], &set] {
            let ended: Ended = ask(&db, args, typed);
            ended.refused(&[words]);
            assert!(!ended.stderr.contains(PASSWORD), "{ended:?}");
        }
    }
    assert_eq!(db.sql("SELECT count(*) FROM accounts"), "1");
    assert_eq!(Server::start(&db, &[]).client().try_log_in(KIM, PASSWORD).status, 200);
    // UTF-16 as PowerShell writes it.
    let utf16: Vec<u8> = std::iter::once(0xfeff).chain(PASSWORD.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let mut program = command(&db, &[("SESSILE_LOG", "off")]);
    let mut child = program
        .args(set)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program");
    std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), &utf16).expect("stdin");
    let out = child.wait_with_output().expect("an exit status");
    assert!(String::from_utf8_lossy(&out.stderr).contains("byte order mark"), "{out:?}");
}
