//! Processes beside one another on one SQLite file: each that listens has a socket in the file's folder, and whoever
//! commits something tells all of them before it goes on. Called by the lanes of [`sqlite`](super::sqlite).
//!
//! Invariant: when a commit that announces something returns, every listener that answers in time has heard of it. One that
//! has not is not waited for again for a minute, and hears nothing in it. Nobody may answer from memory on the strength of
//! this alone: whoever would, has to look after each gap that is as long as that one's silence.

use std::collections::HashMap;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Stopwatch};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
};

use super::notify::{Outbox, Tell, said, stamped};
use super::{Heard, Instant};
use crate::secret;

/// How long a commit waits for another process to hear of it.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long one that was not heard of in that time is left alone, so that it holds up one commit and not all.
const LEFT_ALONE: Duration = Duration::from_secs(60);
/// How long a listener waits before it tries again to make its socket.
const RETRY: Duration = Duration::from_secs(5);
/// How long one connection may hold up the others of a listener.
const SLOWEST: Duration = Duration::from_millis(800);
/// What one connection may say, in bytes.
const LONGEST: u64 = 1 << 20;
/// Longest path of a socket that every system takes (POSIX leaves it open; 104 with BSD, 108 with Linux).
const LONGEST_PATH: usize = 100;
/// How much of the file's name is in the socket's.
const LONGEST_STEM: usize = 32;
const SUFFIX: &str = ".sock";
const HEARD: &[u8] = b"heard\n";

/// The processes on one file.
pub(super) struct Beside {
    folder: PathBuf,
    prefix: String,
    /// The file's owner, whose processes alone are told.
    owner: Option<u32>,
    own: Mutex<Own>,
    /// Sockets that did not answer in time, and when that was.
    silent: Mutex<HashMap<String, Stopwatch>>,
}

/// This process's listener.
#[derive(Default)]
struct Own {
    tell: Option<Tell>,
    socket: Option<String>,
}

impl Beside {
    pub(super) fn new(file: &Path) -> Self {
        // Who comes by another name, or through a link, is beside the same file all the same.
        let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        let folder = file.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // Two files whose names begin alike tell one another what does not concern them, which harms nobody.
        let stem: String = name.chars().filter(char::is_ascii).take(LONGEST_STEM).collect();
        let owner = std::fs::metadata(&file).ok().map(|file| file.uid());
        Self { folder, prefix: format!("{stem}.live-"), owner, own: Mutex::default(), silent: Mutex::default() }
    }

    /// Tells this process's listener and all others. Waits for each of them, on a thread that may block.
    pub(super) fn tell(&self, outbox: Outbox) {
        if outbox.is_empty() {
            return;
        }
        let announced = outbox.announced.into_iter().map(|(at, text)| (Some(at), text));
        let notes: Vec<_> = announced.chain(outbox.mentioned.into_iter().map(|text| (None, text))).collect();
        let tell = self.own().tell.clone();
        if let Some(tell) = tell {
            for (at, text) in &notes {
                tell(Heard::Said { at: *at, text: text.clone() });
            }
        }
        let others = self.others();
        if others.is_empty() {
            return;
        }
        let lines: String = notes.iter().map(|(at, text)| line(*at, text)).collect();
        tokio::runtime::Handle::current().block_on(async {
            futures_util::future::join_all(others.iter().map(|name| self.tell_other(name, &lines))).await;
        });
    }

    /// Listens, until this is dropped.
    pub(super) async fn listen(&self, tell: Tell) {
        self.own().tell = Some(tell.clone());
        let _until_dropped = Leave(self);
        loop {
            match self.open_socket() {
                Ok(listener) => {
                    tell(Heard::Sure);
                    let error = hear(&listener, &tell).await;
                    tell(Heard::Unsure);
                    tracing::warn!(%error, "commands beside this server are not heard");
                }
                Err(error) => tracing::warn!(%error, "commands beside this server are not heard"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// A socket of this process's own. It gets its name only when it can be connected to, so that nobody takes it for one
    /// that was left behind.
    fn open_socket(&self) -> io::Result<UnixListener> {
        self.remove_own();
        let random = secret::random_name("").map_err(io::Error::other)?;
        let name = format!("{}{}", self.prefix, random.chars().take(12).collect::<String>());
        let draft = Reach::new(&self.folder, &format!("{name}.new"))?;
        let listener = UnixListener::bind(&draft.path)?;
        std::fs::set_permissions(&draft.path, Permissions::from_mode(0o600))?;
        let name = format!("{name}{SUFFIX}");
        std::fs::rename(&draft.path, self.folder.join(&name))?;
        self.own().socket = Some(name);
        Ok(listener)
    }

    /// The sockets beside this process's own. Anybody who may write in the folder can put one there, and take their time to
    /// answer: only those of the file's owner are meant.
    fn others(&self) -> Vec<String> {
        let own = self.own().socket.clone();
        self.silent().retain(|_, since| since.elapsed() < LEFT_ALONE);
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let ours = entries.filter(|entry| {
            entry.metadata().is_ok_and(|found| found.file_type().is_socket() && Some(found.uid()) == self.owner)
        });
        ours.filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with(&self.prefix) && name.ends_with(SUFFIX) && Some(name) != own.as_ref())
            .filter(|name| !self.silent().contains_key(name))
            .collect()
    }

    async fn tell_other(&self, name: &str, lines: &str) {
        let told = async {
            let reach = Reach::new(&self.folder, name)?;
            let mut stream = UnixStream::connect(&reach.path).await?;
            stream.write_all(lines.as_bytes()).await?;
            stream.shutdown().await?;
            let mut answer = [0; HEARD.len()];
            stream.read_exact(&mut answer).await.map(drop)
        };
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(())) => {}
            // Its process is gone and could not take it along.
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                let _ = std::fs::remove_file(self.folder.join(name));
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(Err(error)) => tracing::warn!(%error, "a server beside this process was not told"),
            Err(_) => {
                tracing::warn!("a server beside this process did not answer in time and is left alone for a minute");
                self.silent().insert(name.to_owned(), Stopwatch::now());
            }
        }
    }

    fn remove_own(&self) {
        if let Some(name) = self.own().socket.take() {
            let _ = std::fs::remove_file(self.folder.join(name));
        }
    }

    fn silent(&self) -> MutexGuard<'_, HashMap<String, Stopwatch>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the listener's socket along.
struct Leave<'a>(&'a Beside);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.remove_own();
        self.0.own().tell = None;
    }
}

/// Hears whoever connects, until the socket fails. One after the other: each has little to say.
async fn hear(listener: &UnixListener, tell: &Tell) -> io::Error {
    loop {
        let mut stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => return error,
        };
        let heard = async {
            let mut lines = String::new();
            (&mut stream).take(LONGEST).read_to_string(&mut lines).await?;
            for line in lines.lines() {
                tell(said(line));
            }
            stream.write_all(HEARD).await
        };
        if let Ok(Err(error)) = tokio::time::timeout(SLOWEST, heard).await {
            tracing::debug!(%error, "somebody who connected was not understood");
        }
    }
}

fn line(at: Option<Instant>, text: &str) -> String {
    format!("{}\n", stamped(at, text).replace('\n', " "))
}

/// A path to a socket that is short enough: through the folder's open descriptor where the path itself is not.
struct Reach {
    path: PathBuf,
    _folder: Option<File>,
}

impl Reach {
    fn new(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        if path.as_os_str().len() <= LONGEST_PATH {
            return Ok(Self { path, _folder: None });
        }
        let open = File::open(folder)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", open.as_raw_fd()));
        Ok(Self { path, _folder: Some(open) })
    }
}
