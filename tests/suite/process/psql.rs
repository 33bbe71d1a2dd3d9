//! A psql client with a connection that stays open.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::TestDb;

/// A psql process. Dropping it ends its transaction and releases its locks.
pub struct Psql {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Psql {
    pub fn open(db: &TestDb) -> Self {
        let mut child = Command::new("psql")
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", db.url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql");
        let stdout = BufReader::new(child.stdout.take().expect("stdout"));
        Self { child, stdout }
    }

    /// Runs statements and returns the single row that the last one selects.
    pub fn ask(&mut self, statements: &str) -> String {
        let stdin = self.child.stdin.as_mut().expect("stdin");
        writeln!(stdin, "{statements};").expect("stdin");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Locks a table exclusively until this client is dropped.
    pub fn lock(&mut self, table: &str) {
        let locked = self.ask(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; SELECT 'locked'"));
        assert_eq!(locked, "locked");
    }

    /// Terminates all other connections to the database without waiting. Returns their number.
    pub fn cut_connections(&mut self) -> usize {
        let cut = self.ask(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        cut.parse().expect("a number")
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
