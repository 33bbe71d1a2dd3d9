//! A separate PostgreSQL server for a case, which the case can stop and start.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::TestDb;

/// A PostgreSQL server. Dropping it stops the server and deletes its files.
pub struct Cluster {
    folder: PathBuf,
}

impl Cluster {
    /// Creates and starts a server with a database.
    pub fn start() -> (Self, TestDb) {
        let name = sessile::base::secret::random_name("sessile_pg_").unwrap();
        let cluster = Self { folder: std::env::temp_dir().join(name) };
        let url = cluster.start_again();
        (cluster, TestDb::in_own_postgres(url))
    }

    /// Starts the server again on the same port.
    pub fn start_again(&self) -> String {
        said(self.script("start", &[]))
    }

    /// Creates a standby of this server and returns it with its URL.
    pub fn standby(&self) -> (Self, String) {
        let name = sessile::base::secret::random_name("sessile_pg_").unwrap();
        let cluster = Self { folder: std::env::temp_dir().join(name) };
        let url = cluster.follow(self);
        (cluster, url)
    }

    /// Deletes the data and starts again as a standby of `primary`, on the same port.
    pub fn follow(&self, primary: &Self) -> String {
        let data = self.folder.join("data");
        if data.exists() {
            std::fs::remove_dir_all(data).expect("an empty place");
        }
        said(self.script("standby", &[&primary.folder.display().to_string()]))
    }

    /// Promotes a standby to primary.
    pub fn promote(&self) {
        said(self.script("promote", &[]));
    }

    /// Stops the server immediately, without a checkpoint.
    pub fn stop(&self) {
        self.stop_as("immediate");
    }

    /// Stops the server with a shutdown mode of `pg_ctl`.
    pub fn stop_as(&self, mode: &str) {
        said(self.script("stop", &["-m", mode]));
    }

    /// Kills all its processes at once, as when the machine fails.
    pub fn kill(&self) {
        signal("-KILL", &self.processes());
    }

    /// Runs SQL on the server.
    pub fn sql(&self, statement: &str) -> String {
        let url = said(self.script("url", &[]));
        said(
            Command::new("psql")
                .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement, &url])
                .output()
                .expect("psql"),
        )
    }

    /// Appends a line to the configuration, which takes effect at the next start.
    pub fn configure(&self, line: &str) {
        use std::io::Write as _;
        let file = std::fs::OpenOptions::new().append(true).open(self.data().join("postgresql.conf"));
        writeln!(file.expect("its settings"), "{line}").unwrap();
    }

    pub fn port(&self) -> u16 {
        std::fs::read_to_string(self.folder.join("port")).unwrap().trim().parse().unwrap()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Suspends all its processes, as on a machine that hangs, until the returned guard is dropped.
    pub fn freeze(&self) -> Frozen {
        signal("-STOP", &self.processes()[..1]);
        let frozen = self.processes();
        signal("-STOP", &frozen);
        Frozen(frozen)
    }

    /// The process ids of the postmaster and its children.
    fn processes(&self) -> Vec<String> {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let postmaster = file.lines().next().expect("a process id").to_owned();
        let out = Command::new("ps").args(["-o", "pid=", "--ppid", &postmaster]).output().expect("ps");
        let children = String::from_utf8(out.stdout).unwrap();
        [&*postmaster].into_iter().chain(children.split_whitespace()).map(str::to_owned).collect()
    }

    fn script(&self, what: &str, more: &[&str]) -> std::process::Output {
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres"))
            .arg(what)
            .arg(&self.folder)
            .args(more)
            .stdin(Stdio::null())
            .output()
            .expect("scripts/postgres")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.folder.join("data/postmaster.pid").exists() {
            self.script("stop", &["-m", "immediate"]);
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Suspended processes.
pub struct Frozen(Vec<String>);

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("-CONT", &self.0);
    }
}

/// The stdout of a program that succeeded.
fn said(out: std::process::Output) -> String {
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn signal(name: &str, processes: &[String]) {
    let _ = Command::new("kill").arg(name).args(processes).status();
}
