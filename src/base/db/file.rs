//! The file of an SQLite database: creating it for its owner only, and noticing when it is replaced. Used by the
//! modules for SQLite and by [`inspect`](super::inspect).
//!
//! Invariant: data is read and written only while the path still names the open file and its log. Otherwise this
//! process would acknowledge changes that no other process can see.

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use diesel::{Connection as _, SqliteConnection, connection::SimpleConnection as _};

use crate::base::{
    coherence::Moment,
    error::{Away, Error, Result},
};

/// How long an answer of [`OpenFile::is_in_place`] holds.
const CHECKED_FOR: Duration = Duration::from_millis(1);

/// Creates the file and its folder if they are missing, accessible only to their owner.
///
/// # Errors
/// When they cannot be created, or when the log of a missing file still holds changes: SQLite would apply it to the new
/// file.
pub(super) fn make(path: &Path) -> Result<()> {
    // Do not open an existing file: closing it again would release the locks that this process holds on it.
    if path.exists() {
        return Ok(());
    }
    let log = sibling(path, "-wal");
    if std::fs::metadata(&log).is_ok_and(|found| found.len() > 0) {
        return Err(Error::Invalid(format!(
            "the database file {} (DATABASE_URL) is missing, but its log {} still holds changes: put the file back, or move \
             the log away to start a new database",
            path.display(),
            log.display()
        )));
    }
    let created = crate::base::keys::private_folder(path)
        .and_then(|()| std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop));
    created.map_err(|error| {
        let path = path.display();
        Error::Invalid(format!(
            "the database file {path} cannot be created: {error}; choose another path in DATABASE_URL"
        ))
    })
}

/// The URI with which SQLite opens an existing file. SQLite does not create a missing file for it.
pub(super) fn url(path: &Path, mode: &str) -> String {
    let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let slashes = if path.is_absolute() { "//" } else { "" };
    format!("file:{slashes}{name}?mode={mode}")
}

/// The path with `suffix` appended to its file name, such as the path of the log.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Identifies a file independently of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file at `path`, following links.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        std::fs::metadata(path).map(|found| Self { device: found.dev(), inode: found.ino() })
    }
}

impl FileId {
    /// Parses the output of `Display`.
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

/// The database file that this process has open.
pub(super) struct OpenFile {
    path: PathBuf,
    id: FileId,
    /// The log and the log's index. Set once `keeper` holds them open.
    log: OnceLock<[(PathBuf, FileId); 2]>,
    /// Stays open, so that SQLite does not remove the log between two uses.
    keeper: Mutex<Option<SqliteConnection>>,
    /// Whether the log was already checkpointed because the file or the log was replaced.
    rescued: AtomicBool,
    /// When [`is_in_place`](Self::is_in_place) last looked, in nanoseconds.
    checked_at: AtomicU64,
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
            checked_at: AtomicU64::new(0),
        })
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// The log and the log's index, if they are watched.
    pub(super) fn log(&self) -> Option<[FileId; 2]> {
        self.log.get().map(|[(_, log), (_, index)]| [*log, *index])
    }

    /// Opens the log and watches it from now on.
    pub(super) fn keep_log(&self) -> Result<()> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.is_some() {
            return Ok(());
        }
        let away = |error: &dyn std::fmt::Display| Error::unavailable(Away::Database, error);
        let mut conn = SqliteConnection::establish(&url(&self.path, "rw")).map_err(|error| away(&error))?;
        // The first read opens the log, or creates it if it is missing.
        conn.batch_execute("PRAGMA busy_timeout = 1000; PRAGMA journal_mode = WAL; SELECT 1 FROM sqlite_master")
            .map_err(|error| away(&error))?;
        let [log, index] = ["-wal", "-shm"].map(|suffix| sibling(&self.path, suffix));
        if let (Ok(log_id), Ok(index_id)) = (FileId::of(&log), FileId::of(&index)) {
            let _ = self.log.set([(log, log_id), (index, index_id)]);
        }
        *keeper = Some(conn);
        Ok(())
    }

    /// Whether the path still names the open file and its log. The answer is at most [`CHECKED_FOR`] old, because every
    /// answer from memory asks for it.
    pub(super) fn is_in_place(&self, now: Moment) -> bool {
        let checked_at = Moment::from_nanos(self.checked_at.load(Ordering::Relaxed));
        if now.since(checked_at) < CHECKED_FOR {
            return true;
        }
        let in_place = FileId::of(&self.path).is_ok_and(|found| found == self.id) && self.changed_log().is_none();
        if in_place {
            self.checked_at.store(now.nanos(), Ordering::Relaxed);
        }
        in_place
    }

    /// Checks that the path still names the open file and its log. This costs three `stat` calls, a few microseconds.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when one of them was replaced or removed.
    pub(super) fn check(&self) -> Result<()> {
        let path = self.path.display();
        let change = match FileId::of(&self.path) {
            Ok(found) if found == self.id => return self.check_log(),
            Ok(_) => "was replaced while it is open",
            Err(_) => "was removed while it is open",
        };
        self.rescue_log();
        Err(Error::unavailable(
            Away::Refused,
            format!(
                "the database file {path} {change}: put the old file back, or stop Sessile, remove {path}-wal and {path}-shm, \
                 and start Sessile on the new file"
            ),
        ))
    }

    /// The log or its index, if it was removed or replaced.
    fn changed_log(&self) -> Option<&Path> {
        let changed = |(path, id): &&(PathBuf, FileId)| FileId::of(path).ok() != Some(*id);
        self.log.get().and_then(|files| files.iter().find(changed)).map(|(path, _)| path.as_path())
    }

    fn check_log(&self) -> Result<()> {
        let Some(path) = self.changed_log() else {
            self.rescued.store(false, Ordering::Relaxed);
            return Ok(());
        };
        if !path.exists() {
            self.rescue_log();
        }
        let path = path.display();
        Err(Error::unavailable(
            Away::Refused,
            format!("{path} was removed or replaced while the database is open: stop Sessile and start it again"),
        ))
    }

    /// Checkpoints the log into the open file, wherever that file is now. Otherwise SQLite would apply the log to the
    /// new file, or the changes in it would be lost. Once is enough, because nothing is written afterwards.
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
            Err(error) => tracing::warn!(%error, "checkpoint of a replaced database file failed"),
        }
    }
}

/// Adds a remedy to an error that only an operator can fix. SQLite's messages are constants (`sqlite3ErrStr` in its
/// source).
pub(super) fn explained(path: &Path, error: Error) -> Error {
    let Error::Unavailable(fault) = error else { return error };
    let remedies = [
        (
            "file is not a database",
            "the file is not an SQLite database: name another file in DATABASE_URL, or restore your backup",
        ),
        (
            "readonly database",
            "let the user that runs Sessile write the file and its folder, or name another file in DATABASE_URL",
        ),
        ("unable to open database file", "let the user that runs Sessile read and write the file and its folder"),
        ("database or disk is full", "free space on its disk"),
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
