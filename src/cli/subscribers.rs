//! `sessile subscribers …`: exports all accounts to a file. Called by [`run`](super::run).
//!
//! Invariants: a reader of the file sees the whole old list or the whole new list. Memory use does not depend on the number
//! of accounts.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer as _, ser::SerializeSeq as _};

use super::{open::open_to_read, output::say, progress::Progress};
use crate::{
    base::{
        db::{Conn, Db, Instant},
        error::{Error, Result},
        secret,
        settings::Settings,
    },
    records::{
        account::Role,
        session::listing::{self, Subscriber},
    },
};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Writes all accounts, with the most recently used session of each, as JSON
    Export {
        /// The file to write, which is replaced atomically
        #[arg(long, default_value = "subscribers.json")]
        out: PathBuf,
    },
}

pub async fn run(command: Command, settings: &Settings) -> Result<()> {
    let Command::Export { out } = command;
    let db = open_to_read(settings).await?;
    let failed = |error: io::Error| Error::Invalid(format!("writing {} failed: {error}", out.display()));
    let file = Replacement::begin(&out).map_err(failed)?;
    let progress = Progress::begin();
    progress.remove_if_interrupted(&file.draft);
    progress.about("writing accounts");
    let written = write_all(&db, &file, &progress).await;
    // A stopped export cannot be continued: accounts may have changed since.
    progress
        .finish(&format!("{} was not changed; run the command again; it starts from the beginning", out.display()))?;
    let count = match written? {
        Ok(count) => file.finish().map(|()| count).map_err(failed)?,
        Err(error) => return Err(failed(error)),
    };
    say(&format!("wrote {count} to {}", out.display()))
}

/// Writes a line for each account. Returns how many, or why the file could not be written.
async fn write_all(db: &Db, file: &Replacement, progress: &Progress) -> Result<io::Result<usize>> {
    let mut buffered = BufWriter::new(&file.file);
    let mut json = serde_json::Serializer::pretty(&mut buffered);
    let (mut count, mut last) = (0, String::new());
    let mut list = match json.serialize_seq(None) {
        Ok(list) => list,
        Err(error) => return Ok(Err(error.into())),
    };
    loop {
        let after = last.clone();
        let read = db.read(async move |conn: &mut Conn<'_>| listing::subscribers(conn, &after).await);
        let Some((rows, newest)) = read.await? else { break };
        last = newest;
        let lines = lines(rows);
        count += lines.len();
        if let Err(error) = lines.iter().try_for_each(|line| list.serialize_element(line)) {
            return Ok(Err(error.into()));
        }
        if !progress.after(lines.len()) {
            return Ok(Ok(count));
        }
    }
    let ended = list.end().map_err(io::Error::from).and_then(|()| buffered.write_all(b"\n"));
    Ok(ended.and_then(|()| buffered.flush()).map(|()| count))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    id: String,
    email: String,
    name: String,
    role: Role,
    status: &'static str,
    created_at: Instant,
    session_id: Option<String>,
    last_activity: Option<Instant>,
    sessions: usize,
}

/// Makes one line per account. The first row of an account is its most recently used session.
fn lines(rows: Vec<Subscriber>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (account, created_at, disabled_at, session_id, last_activity) in rows {
        let live = usize::from(session_id.is_some());
        match lines.last_mut().filter(|line| line.id == account.id) {
            Some(line) => line.sessions += live,
            None => lines.push(Line {
                id: account.id,
                email: account.email,
                name: account.name,
                role: account.role,
                status: if disabled_at.is_some() { "disabled" } else { "enabled" },
                created_at,
                session_id,
                last_activity,
                sessions: live,
            }),
        }
    }
    lines
}

/// The final path of the file, and its mode.
struct Place {
    path: PathBuf,
    mode: u32,
}

/// Resolves the output path. Replaces the target of a link, not the link, and keeps the mode of an existing file.
/// Refuses a path that is not a regular file, such as a pipe or a device.
fn place(out: &Path) -> io::Result<Place> {
    match fs::metadata(out) {
        Ok(found) if found.is_file() => {
            Ok(Place { path: fs::canonicalize(out)?, mode: found.permissions().mode() & 0o777 })
        }
        Ok(_) => Err(io::Error::other("it is not a regular file, choose another path with --out")),
        Err(error) if error.kind() == io::ErrorKind::NotFound && out.is_symlink() => {
            Err(io::Error::other("it is a link that leads nowhere, choose another path with --out"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Place { path: out.to_owned(), mode: 0o600 }),
        Err(error) => Err(error),
    }
}

/// A temporary file in the folder of the final path, which it replaces once it is complete.
struct Replacement {
    file: File,
    draft: PathBuf,
    place: Place,
}

impl Replacement {
    fn begin(out: &Path) -> io::Result<Self> {
        let place = place(out)?;
        let name = secret::random_name(".subscribers-").map_err(io::Error::other)?;
        let draft = folder(&place.path).join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let made = Self { file, draft, place };
        made.file.set_permissions(Permissions::from_mode(made.place.mode))?;
        Ok(made)
    }

    fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.draft, &self.place.path)?;
        File::open(folder(&self.place.path))?.sync_all()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // Ignore errors: after `finish` there is no such file, and otherwise the first error is the one to report.
        let _ = fs::remove_file(&self.draft);
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
