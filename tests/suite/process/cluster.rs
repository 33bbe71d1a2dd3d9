//! A PostgreSQL of a case's own, which it may stop and start.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::TestDb;

/// Stopped and gone after the case.
pub struct Cluster {
    folder: PathBuf,
}

impl Cluster {
    /// Makes one and starts it; and a database in it.
    pub fn start() -> (Self, TestDb) {
        let name = sessile::secret::random_name("sessile_pg_").unwrap();
        let cluster = Self { folder: std::env::temp_dir().join(name) };
        let url = cluster.start_again();
        (cluster, TestDb::in_own_postgres(url))
    }

    /// Starts it again where it was.
    pub fn start_again(&self) -> String {
        let out = self.script("start", &[]);
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// Pulls the plug.
    pub fn stop(&self) {
        let out = self.script("stop", &["-m", "immediate"]);
        assert!(out.status.success(), "{out:?}");
    }

    /// All its processes stand still, as on a machine that hangs, until what this returns is dropped.
    pub fn freeze(&self) -> Frozen {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let postmaster = file.lines().next().expect("a process id").to_owned();
        signal("-STOP", std::slice::from_ref(&postmaster));
        let out = Command::new("ps").args(["-o", "pid=", "--ppid", &postmaster]).output().expect("ps");
        let children = String::from_utf8(out.stdout).unwrap();
        let frozen: Vec<String> = children.split_whitespace().chain([&*postmaster]).map(str::to_owned).collect();
        signal("-STOP", &frozen);
        Frozen(frozen)
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

/// Processes that stand still.
pub struct Frozen(Vec<String>);

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("-CONT", &self.0);
    }
}

fn signal(name: &str, processes: &[String]) {
    let _ = Command::new("kill").arg(name).args(processes).status();
}
