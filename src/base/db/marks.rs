//! A small file beside an SQLite database that says how far the database had come: the last two of the random marks that it
//! keeps too, each renewed at the start and at the end of a server. A backup that was copied over the database holds an older
//! mark. PostgreSQL has its timeline for this. Used by [`Place`](super::Place) and by the history of the instance.
//!
//! Invariant: the mark in the database is one of those in the file, whenever a process ends, unless the database was replaced.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::file::sibling;
use crate::base::database_url::DatabaseUrl;

/// Longest content that is read: two marks.
const LONGEST: usize = 100;

/// The file of a database.
#[derive(Debug, Clone)]
pub struct Marks(PathBuf);

impl Marks {
    /// The file, if the database is one too.
    pub fn of(database: &DatabaseUrl) -> Option<Self> {
        match database {
            DatabaseUrl::Sqlite(path) => Some(Self(sibling(path, "-history"))),
            DatabaseUrl::Postgres(_) => None,
        }
    }

    /// The marks; none if the file is missing or holds something else.
    pub fn read(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        if text.len() > LONGEST { Vec::new() } else { text.split_whitespace().map(str::to_owned).collect() }
    }

    /// Replaces them. They are on the disk when this returns.
    ///
    /// # Errors
    /// When the file cannot be written; the old one stays.
    pub fn write(&self, marks: &[&str]) -> std::io::Result<()> {
        let new = sibling(&self.0, ".new");
        let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(format!("{}\n", marks.join(" ")).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &self.0)?;
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}
