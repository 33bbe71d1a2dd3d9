//! Checks that other users of the machine cannot access secret files: the key file, the TLS key, the database, and
//! copies in the same folder. Called by [`warn`](super::warn) and by `doctor`.
//!
//! Invariant: a check changes no file.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::finding::Finding;
use crate::base::{db::inspect::Inspection, settings::Settings};

/// The most files of a folder that are checked.
const MOST_FILES: usize = 1000;
/// The first bytes of an SQLite database file (SQLite file format, 1.3).
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Checks the key file, its folder, and copies in the folder.
pub fn key_file(settings: &Settings) -> Finding {
    let path = &settings.key_file;
    let mode = secret_mode(path)?;
    if let Some(folder) = path.canonicalize().ok().and_then(|path| Some(path.parent()?.to_owned()))
        && mode_of(&folder).is_some_and(|mode| mode & 0o002 != 0)
    {
        let folder = folder.display();
        return Err(format!(
            "its folder {folder} is open to everybody, so another user could replace the key file: run `chmod o-w {folder}`"
        ));
    }
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let is_copy = |other: &Path| {
        let other = other.file_name().unwrap_or_default().as_encoded_bytes();
        other.starts_with(name) && other != name
    };
    closed(copies(path, is_copy, 0o077)).map(|()| mode)
}

/// Checks the private key of the certificate, if this program serves TLS.
pub fn tls_key(settings: &Settings) -> Finding {
    match &settings.tls {
        Some(files) => secret_mode(&files.key),
        None => Ok("not served here".to_owned()),
    }
}

/// Checks the files of an SQLite database, their folder, and copies in the folder.
pub fn database_files(settings: &Settings) -> Finding {
    if let Some(folder) = Inspection::open_folder(settings) {
        let folder = folder.display();
        return Err(format!(
            "its folder {folder} is open to everybody, so another user could replace the database: run `chmod o-w {folder}`"
        ));
    }
    let mut open = Inspection::open_files(settings);
    if let Some(path) = Inspection::file(settings) {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes().to_owned();
        let is_copy = |other: &Path| {
            other.file_name().unwrap_or_default().as_encoded_bytes().starts_with(&name) || is_database(other)
        };
        let others = copies(path, is_copy, 0o007);
        open.extend(
            others.into_iter().filter(|(other, _)| !open.iter().any(|(known, _)| known == other)).collect::<Vec<_>>(),
        );
    }
    closed(open).map(|()| "other users cannot access it".to_owned())
}

/// Checks that only this user can read or write a secret file. A file of another owner may be readable by the group,
/// because Kubernetes mounts secrets this way with `fsGroup`.
fn secret_mode(path: &Path) -> Finding {
    let shown = path.display();
    let found = std::fs::metadata(path).map_err(|error| format!("{shown}: {error}"))?;
    let mode = found.permissions().mode() & 0o777;
    let is_ours = found.uid() == rustix::process::geteuid().as_raw();
    let forbidden = if is_ours { 0o077 } else { 0o027 };
    // A mounted secret belongs to root. If the program runs as root, such a file looks like its own.
    let is_mounted = is_ours && is_read_only(path) && mode & 0o037 == 0;
    if mode & forbidden == 0 || is_mounted {
        return Ok(format!("mode {mode:o}"));
    }
    Err(format!(
        "{shown} is open to others (mode {mode:o}): run `chmod 600 {shown}`; for a secret of Kubernetes set defaultMode \
         0440 and fsGroup"
    ))
}

fn is_read_only(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|found| found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// Fails if there are files that others can read.
fn closed(open: Vec<(PathBuf, u32)>) -> Result<(), String> {
    if open.is_empty() {
        return Ok(());
    }
    let files: Vec<String> = open.iter().map(|(path, _)| path.display().to_string()).collect();
    let modes: Vec<String> = open.iter().map(|(_, mode)| format!("{mode:o}")).collect();
    let (files, modes) = (files.join(" "), modes.join(", "));
    Err(format!("{files} can be read by others (mode {modes}): run `chmod 600 {files}`"))
}

/// The copies in the same folder whose mode has one of `bits`, with their modes.
fn copies(path: &Path, is_copy: impl Fn(&Path) -> bool, bits: u32) -> Vec<(PathBuf, u32)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut open: Vec<(PathBuf, u32)> = entries
        .take(MOST_FILES)
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .map(|name| path.with_file_name(name))
        .filter(|other| std::fs::symlink_metadata(other).is_ok_and(|found| found.is_file()))
        .filter_map(|other| mode_of(&other).filter(|mode| mode & bits != 0).map(|mode| (other, mode)))
        .filter(|(other, _)| is_copy(other))
        .collect();
    open.sort();
    open
}

fn mode_of(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|found: Metadata| found.permissions().mode() & 0o777)
}

fn is_database(path: &Path) -> bool {
    let mut begins = [0; SQLITE.len()];
    File::open(path).is_ok_and(|mut file| file.read_exact(&mut begins).is_ok()) && begins == *SQLITE
}
