//! Creates the key file. If several nodes start at once, exactly one of them creates it, on any file system. Called by
//! the parent.
//!
//! Invariant: an existing file is never replaced.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant as Stopwatch};

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::base::secret;

/// Bytes of a key. The cookie signer needs this many.
pub(super) const KEY_BYTES: usize = 64;

/// Creates the folder of `file` for its owner only. Does not change an existing folder.
pub fn private_folder(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
        }
        _ => Ok(()),
    }
}

/// A way to create `path` from a complete draft. Fails with `AlreadyExists` if the path is taken.
pub(super) type Way = fn(draft: &Path, path: &Path) -> io::Result<()>;

/// All ways, in order of preference. SMB and exFAT have no hard links, and NFS has no rename that refuses to replace a
/// file.
pub(super) const WAYS: [Way; 3] = [link, rename, copy];
/// How long a reader waits for a node that has created the file with [`copy`] but not written it yet.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes a draft with a random key, then creates `path` from the draft. The first of several nodes wins. Returns
/// whether this node won. Except with [`copy`], no reader sees a partial file.
pub(super) fn make(path: &Path, ways: &[Way]) -> io::Result<bool> {
    private_folder(path)?;
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let draft = path.with_extension(secret::random_name("new-").map_err(io::Error::other)?);
    let written = write_new(&draft, &format!("{}\n", BASE64_STANDARD_NO_PAD.encode(bytes)));
    let named = written.and_then(|()| name(&draft, path, ways));
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => named.and(Err(error)),
        _ => named,
    }
}

fn name(draft: &Path, path: &Path, ways: &[Way]) -> io::Result<bool> {
    let mut result = Err(io::ErrorKind::Unsupported.into());
    for way in ways {
        result = way(draft, path);
        match &result {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            // The file system may support the next way.
            Err(_) => {}
        }
    }
    result.map(|()| true)
}

fn link(draft: &Path, path: &Path) -> io::Result<()> {
    std::fs::hard_link(draft, path)
}

fn rename(draft: &Path, path: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, draft, CWD, path, RenameFlags::NOREPLACE)?)
}

/// The only way in which a reader can see a partial file. [`read_whole`] waits until the line is complete.
fn copy(draft: &Path, path: &Path) -> io::Result<()> {
    let line = std::fs::read_to_string(draft)?;
    let written = write_new(path, &line);
    if let Err(error) = &written
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        // Remove the partial key. Otherwise it would stop every later start.
        let _ = std::fs::remove_file(path);
    }
    written
}

fn write_new(path: &Path, line: &str) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

/// Reads the file. Waits until its last line is complete, because another node may be writing it.
pub(super) fn read_whole(path: &Path) -> io::Result<String> {
    let until = Stopwatch::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(path)?;
        if text.ends_with('\n') || Stopwatch::now() > until {
            return Ok(text);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Keys;
    use super::*;

    fn folder() -> std::path::PathBuf {
        std::env::temp_dir().join(secret::random_name("sessile-key-").unwrap())
    }

    /// First without hard links, as on SMB or exFAT. Then also without a rename that refuses to replace a file.
    #[test]
    fn without_hard_links_eight_nodes_still_share_one_key() {
        for ways in [&WAYS[1..], &WAYS[2..]] {
            let path = folder().join("session.key");
            let start = || {
                let keys = Keys::read(&path).ok().flatten();
                keys.map_or_else(|| Keys::make(&path, ways), Ok).unwrap().fingerprint().to_owned()
            };
            let fingerprints: Vec<String> = std::thread::scope(|scope| {
                let nodes: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
                nodes.into_iter().map(|node| node.join().unwrap()).collect()
            });
            assert!(fingerprints.iter().all(|one| *one == fingerprints[0]));
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "the draft was removed");
        }
    }

    #[test]
    fn unsupported_ways_are_skipped_and_no_file_is_replaced() {
        let unsupported: Way = |_, _| Err(io::Error::from_raw_os_error(1));
        let path = folder().join("session.key");
        let first = Keys::make(&path, &[unsupported, unsupported, WAYS[2]]).unwrap();
        for way in WAYS {
            let second = Keys::make(&path, &[unsupported, way]).unwrap();
            assert_eq!(second.fingerprint(), first.fingerprint());
            assert!(first.made_now && !second.made_now);
        }
        let nowhere = Keys::make(&folder().join("session.key"), &[unsupported]);
        assert!(nowhere.is_err_and(|error| error.to_string().contains("SESSILE_KEY_FILE")));
    }

    #[test]
    fn a_start_waits_for_a_file_that_another_node_is_writing() {
        let path = folder().join("session.key");
        private_folder(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        let (started, reader_started) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                started.send(()).unwrap();
                Keys::read_or_make(&path).map(|keys| keys.fingerprint().to_owned())
            });
            reader_started.recv().unwrap();
            std::fs::write(&path, format!("{}\n", BASE64_STANDARD_NO_PAD.encode([7; KEY_BYTES]))).unwrap();
            assert!(reader.join().unwrap().is_ok());
        });
    }
}
