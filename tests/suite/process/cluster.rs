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
