//! A small file beside an SQLite database that records how far the database has come. The database stores a random
//! mark, which a server renews when it starts and when it stops; the file holds the last two marks. After a backup was
//! copied over the database, its mark is no longer in the file. PostgreSQL has its timeline for this. Used by
//! [`Place`](super::Place) and by the history of the instance.
//!
//! Invariant: the file always holds the database's mark, even after a crash, unless the database was replaced.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::file::sibling;
use crate::base::database_url::DatabaseUrl;

/// Longest content that is accepted. Two marks fit.
const LONGEST: usize = 100;

/// The marks file of a database.
#[derive(Debug, Clone)]
pub struct Marks(PathBuf);

impl Marks {
    /// The marks file of an SQLite database. `None` for PostgreSQL.
    pub fn of(database: &DatabaseUrl) -> Option<Self> {
        match database {
            DatabaseUrl::Sqlite(path) => Some(Self(sibling(path, "-history"))),
            DatabaseUrl::Postgres(_) => None,
        }
    }

    /// The marks. Empty if the file is missing, cannot be read or is too long.
    pub fn read(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        if text.len() > LONGEST { Vec::new() } else { text.split_whitespace().map(str::to_owned).collect() }
    }

    /// Replaces the marks. They are on disk when this returns.
    ///
    /// # Errors
    /// When the file cannot be written. The old file stays.
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
