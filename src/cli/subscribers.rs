//! `sessile subscribers …`: exports all accounts to a file. Called by [`run`](super::run).
//!
//! Invariant: a reader of the file sees the whole old list or the whole new list.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{open::open_to_read, output::say};
use crate::{
    base::{
        db::{Conn, Instant},
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
    let rows = open_to_read(settings).await?.read(async |conn: &mut Conn<'_>| listing::subscribers(conn).await).await?;
    let lines = lines(rows);
    write(&out, &lines).map_err(|error| Error::Invalid(format!("writing {} failed: {error}", out.display())))?;
    say(&format!("wrote {} to {}", lines.len(), out.display()))
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
fn place(out: &Path) -> std::io::Result<Place> {
    match fs::metadata(out) {
        Ok(found) if found.is_file() => {
            Ok(Place { path: fs::canonicalize(out)?, mode: found.permissions().mode() & 0o777 })
        }
        Ok(_) => Err(std::io::Error::other("it is not a regular file, choose another path with --out")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && out.is_symlink() => {
            Err(std::io::Error::other("it is a link that leads nowhere, choose another path with --out"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Place { path: out.to_owned(), mode: 0o600 }),
        Err(error) => Err(error),
    }
}

/// Writes a temporary file in the same folder, then renames it to the final path.
fn write(out: &Path, lines: &[Line]) -> std::io::Result<()> {
    let Place { path: out, mode } = place(out)?;
    let folder = match out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = secret::random_name(".subscribers-").map_err(std::io::Error::other)?;
    let draft = folder.join(name);
    let written = fill(&draft, mode, lines).and_then(|()| fs::rename(&draft, &out));
    if written.is_err() {
        // Ignore errors: the error of the write is the one to report.
        let _ = fs::remove_file(&draft);
    }
    written.and_then(|()| File::open(folder)?.sync_all())
}

fn fill(path: &Path, mode: u32, lines: &[Line]) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    let mut buffered = BufWriter::new(file);
    serde_json::to_writer_pretty(&mut buffered, lines)?;
    buffered.write_all(b"\n")?;
    buffered.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
}
