//! A disk that is really full. The case runs itself again in a new mount namespace, with a small tmpfs as the
//! database's folder, and fills the remaining space with a file (ENOSPC). This needs root or unprivileged user
//! namespaces. Without either, the case reports that it checked nothing.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Asked, MORE, Said, Storm, rounds, serves_again};
use crate::{
    process::assert_unavailable,
    support::{Engine, Server, TestDb},
};

/// Set in the process that runs inside the namespace.
const INSIDE: &str = "SESSILE_TEST_IN_NAMESPACE";

#[test]
#[expect(clippy::disallowed_methods, reason = "the tests' own setting, not the product's")]
fn a_full_disk_allows_reads_and_loses_nothing_acknowledged() {
    if std::env::var(INSIDE).is_ok() {
        return fill_and_free();
    }
    let Some(ways) = [&["--mount"][..], &["--mount", "--map-root-user"]].into_iter().find(|ways| may_mount(ways))
    else {
        println!("NOT CHECKED: a full disk, for neither root nor `unshare --map-root-user` may mount anything here");
        return;
    };
    let own_name = concat!(module_path!(), "::a_full_disk_allows_reads_and_loses_nothing_acknowledged");
    let (_, own_name) = own_name.split_once("::").expect("a crate and a name");
    let out = Command::new("unshare")
        .args(ways)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", own_name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("1 passed"), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
    said.lines().filter(|line| line.starts_with("a full disk:")).for_each(|line| println!("{line}"));
}

fn may_mount(ways: &[&str]) -> bool {
    let mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"];
    let tried = Command::new("unshare").args(ways).args(mount).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

fn fill_and_free() {
    let db = TestDb::new(Engine::Sqlite);
    let disk = Disk::mount(&db.folder);
    let storm = Storm::new(&db, 12);
    let server = Server::start(&db, &MORE);
    let mut person = server.client();
    person.log_in("person0@example.com");
    storm.during(&server.client(), |log| {
        for _ in 0..rounds(2, 10) {
            log.wait_for_changes(10);
            disk.fill(&db);
            let full = log.now();
            log.wait_for(5, "logins refused", |entry| entry.asked == Asked::Login && entry.said == Said::Away);
            log.wait_for_away(20);
            log.wait_for(20, "reads", |entry| entry.asked == Asked::Look && entry.is_success());
            assert_unavailable(&person.json("DELETE", "/api/session", &Value::Null));
            assert_eq!(person.get("/api/session").status, 200, "the refused logout must not take effect");
            let free = log.now();
            disk.free();
            serves_again("a full disk", log, free);
            for entry in log.entries().iter().filter(|entry| entry.started > full && entry.ended < free) {
                let read = matches!(entry.asked, Asked::Look | Asked::Data);
                assert!(!read || entry.said != Said::Away, "a read was refused: {entry:?}");
            }
        }
        log.wait_for_changes(10);
    });
    assert_eq!(person.json("DELETE", "/api/session", &Value::Null).status, 204);
    storm.check("a full disk", &db, &server);
}

/// A small filesystem. Dropping it unmounts the filesystem.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: &Path) -> Self {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(folder).status();
        assert!(mounted.expect("mount").success());
        Self(folder.to_owned())
    }

    /// Fills the disk. The write-ahead log is truncated first, so that it has no space of its own to reuse.
    fn fill(&self, db: &TestDb) {
        while std::fs::metadata(self.0.join("test.sqlite3-wal")).is_ok_and(|log| log.len() > 0) {
            db.sql("PRAGMA wal_checkpoint(TRUNCATE)");
            if self.is_filled() {
                return;
            }
        }
        self.is_filled();
    }

    /// Whether the disk is full.
    fn is_filled(&self) -> bool {
        let mut ballast = File::options().create(true).append(true).open(self.0.join("ballast")).unwrap();
        for size in [64 * 1024, 4096, 1] {
            while ballast.write_all(&vec![1; size]).is_ok() {}
        }
        let full = ballast.write(&[1]).expect_err("no room");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
        true
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
