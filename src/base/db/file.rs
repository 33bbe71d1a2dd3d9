//! The file of an SQLite database: made for its owner only, and known again. Called by the lanes of
//! [`sqlite`](super::sqlite) and by the look of [`inspect`](super::inspect).
//!
//! Invariant: the path names the file that is open, or nothing is read or written. Whoever replaced it, or took its log
//! away, would otherwise get answers, and acknowledge ends, that no other process on the file knows of.

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use diesel::{Connection as _, SqliteConnection, connection::SimpleConnection as _};

use crate::base::error::{Away, Error, Result};

/// Makes the file and its folder if they are missing, readable by their owner only.
///
/// # Errors
/// When they cannot be made, in words that name DATABASE_URL; also when the log of a file that is gone still holds changes: it
/// would be taken for the new file's.
pub(super) fn make(path: &Path) -> Result<()> {
    // Opened and closed again, one that is there would lose the locks that this process has on it.
    if path.exists() {
        return Ok(());
    }
    let log = sibling(path, "-wal");
    if std::fs::metadata(&log).is_ok_and(|found| found.len() > 0) {
        return Err(Error::Invalid(format!(
            "the database file {} is gone (DATABASE_URL), but its log {} still holds changes: put the file back, or move the \
             log away to begin a new database",
            path.display(),
            log.display()
        )));
    }
    let made = crate::base::keys::private_folder(path)
        .and_then(|()| std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop));
    made.map_err(|error| {
        let path = path.display();
        Error::Invalid(format!("the database file {path} cannot be made: {error}; choose another in DATABASE_URL"))
    })
}

/// The address under which SQLite opens a file that is there, and makes none.
pub(super) fn url(path: &Path, mode: &str) -> String {
    let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let slashes = if path.is_absolute() { "//" } else { "" };
    format!("file:{slashes}{name}?mode={mode}")
}

/// A file in the same folder whose name is the database's with this suffix, such as its log.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// A file whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file that a path names, through links.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        std::fs::metadata(path).map(|found| Self { device: found.dev(), inode: found.ino() })
    }
}

impl FileId {
    /// From what Display made.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (device, inode) = text.split_once(' ')?;
        Some(Self { device: device.parse().ok()?, inode: inode.parse().ok()? })
    }
}

impl std::fmt::Display for FileId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.device, self.inode)
    }
}

/// The file that is open.
pub(super) struct OpenFile {
    path: PathBuf,
    id: FileId,
    /// Its log and the log's index, as long as `keeper` holds them open.
    log: OnceLock<[(PathBuf, FileId); 2]>,
    /// Held open, so that SQLite does not take the log away between two uses.
    keeper: Mutex<Option<SqliteConnection>>,
    /// Whether what only the log had was taken out of it.
    rescued: AtomicBool,
}

impl OpenFile {
    pub(super) fn new(path: &Path) -> Result<Self> {
        let id = FileId::of(path).map_err(|error| {
            Error::Invalid(format!("there is no database at {} (DATABASE_URL): {error}", path.display()))
        })?;
        Ok(Self {
            path: path.to_owned(),
            id,
            log: OnceLock::new(),
            keeper: Mutex::default(),
            rescued: AtomicBool::new(false),
        })
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// Its log and the log's index, if they are watched.
    pub(super) fn log(&self) -> Option<[FileId; 2]> {
        self.log.get().map(|[(_, log), (_, index)]| [*log, *index])
    }

    /// From now on the log is watched too.
    pub(super) fn keep_log(&self) -> Result<()> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.is_some() {
            return Ok(());
        }
        let away = |error: &dyn std::fmt::Display| Error::unavailable(Away::Database, error);
        let mut conn = SqliteConnection::establish(&url(&self.path, "rw")).map_err(|error| away(&error))?;
        // The log is opened by the first read, and made if it is not there.
        conn.batch_execute("PRAGMA busy_timeout = 1000; PRAGMA journal_mode = WAL; SELECT 1 FROM sqlite_master")
            .map_err(|error| away(&error))?;
        let [log, index] = ["-wal", "-shm"].map(|suffix| sibling(&self.path, suffix));
        if let (Ok(log_id), Ok(index_id)) = (FileId::of(&log), FileId::of(&index)) {
            let _ = self.log.set([(log, log_id), (index, index_id)]);
        }
        *keeper = Some(conn);
        Ok(())
    }

    /// Whether all of it is still what the path names. A look at three names, a few microseconds.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it is not.
    pub(super) fn check(&self) -> Result<()> {
        let path = self.path.display();
        let what = match FileId::of(&self.path) {
            Ok(found) if found == self.id => return self.check_log(),
            Ok(_) => "is another one than the one that is open",
            Err(_) => "is gone while it is open",
        };
        self.rescue_log();
        Err(Error::unavailable(
            Away::Refused,
            format!(
                "the database file {path} {what}: put the old file back, or stop Sessile, remove {path}-wal and {path}-shm, \
                 and start it on the new one"
            ),
        ))
    }

    fn check_log(&self) -> Result<()> {
        let gone = |(path, id): &&(PathBuf, FileId)| FileId::of(path).ok() != Some(*id);
        let Some((path, _)) = self.log.get().and_then(|files| files.iter().find(gone)) else {
            self.rescued.store(false, Ordering::Relaxed);
            return Ok(());
        };
        if !path.exists() {
            self.rescue_log();
        }
        let path = path.display();
        Err(Error::unavailable(
            Away::Refused,
            format!("{path} was removed or replaced while the database is open: stop Sessile and start it"),
        ))
    }

    /// Takes what only the log has into the file that is open, wherever that is now: else the log would be taken for the new
    /// file's, or be lost with its name. Once; nothing is written after that.
    fn rescue_log(&self) {
        if self.rescued.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(conn) = &mut *keeper else { return };
        match conn.batch_execute("PRAGMA busy_timeout = 1000; PRAGMA wal_checkpoint(TRUNCATE)") {
            Ok(()) => {
                tracing::warn!(path = %self.path.display(), "database file or its log replaced or removed while open")
            }
            Err(error) => tracing::warn!(%error, "the log of the database file could not be emptied"),
        }
    }
}

/// The same error with what to do about it, where somebody has to do something. The words of SQLite are always the same
/// (`sqlite3ErrStr` in its source).
pub(super) fn explained(path: &Path, error: Error) -> Error {
    let Error::Unavailable(fault) = error else { return error };
    let remedies = [
        ("file is not a database", "the file is something else: name another in DATABASE_URL, or restore your backup"),
        (
            "readonly database",
            "let the user that runs Sessile write the file and its folder, or name another in DATABASE_URL",
        ),
        ("unable to open database file", "let the user that runs Sessile read and write the file and its folder"),
        ("database or disk is full", "make room on its disk"),
        ("disk image is malformed", "the file is damaged: keep a copy, and restore your backup"),
        ("disk i/o error", "check its disk"),
    ];
    let cause = fault.cause.to_lowercase();
    match remedies.iter().find(|(words, _)| cause.contains(words)) {
        Some((_, remedy)) => {
            Error::unavailable(Away::Refused, format!("{}: {}: {remedy}", path.display(), fault.cause))
        }
        None => Error::Unavailable(fault),
    }
}
