//! Messages between the processes on one SQLite file. Each listener has a socket in the file's folder, and a process
//! that commits sends its messages to all of them before the commit returns. Called by the lanes of
//! [`sqlite`](super::sqlite).
//!
//! Invariant: when a commit that announces something returns, every listener that may answer from memory has received
//! it, or has no lease from before the commit. A message may be lost: then the listener misses its number, and its beats
//! do not extend its lease; see [`Announcements`](crate::base::coherence::Announcements). A listener without a row in
//! `nodes` that does not answer in time is ignored for a minute.

use std::collections::{BTreeSet, HashMap};
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Stopwatch};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
};

use super::{
    file::{FileId, OpenFile},
    message::{FENCE, Heard, Line, Outbox, Tell, receive},
    nodes::Unconfirmed,
};
use crate::base::{
    coherence::{BEAT_INTERVAL, Coherence, Moment, PATIENCE, Wait},
    error::{Away, Error, Result},
    keys::AuditKeys,
    outage::Outage,
};

/// How long a listener that did not answer in time is ignored, so that it delays only one commit.
const IGNORED_FOR: Duration = Duration::from_secs(60);
/// How long a listener waits before it tries again to create its socket.
const RETRY: Duration = Duration::from_secs(5);
/// Time limit for one incoming connection. A listener serves them one at a time.
const SLOWEST: Duration = Duration::from_millis(800);
/// Maximum size of a request or an answer, in bytes.
const LONGEST: u64 = 1 << 20;
/// Longest socket path that every system accepts. POSIX does not define it; the limit is 104 bytes on BSD and 108 on
/// Linux.
const LONGEST_PATH: usize = 100;
/// How many characters of the file's name a socket's name starts with.
const LONGEST_STEM: usize = 32;
const SUFFIX: &str = ".sock";
const HEARD: &[u8] = b"heard\n";
/// Asks a listener which file and log it has open, and which keys it uses.
const WHO: &str = "who\n";
/// How often a listener checks that its socket is still where other processes look for it.
const LOOK: Duration = Duration::from_secs(1);

/// The listeners on one file.
pub(super) struct SqliteSockets {
    path: PathBuf,
    /// The file that this process has open, even if the path now names another. `None` for a process that only queries
    /// the servers.
    open: Option<Arc<OpenFile>>,
    keys: Option<AuditKeys>,
    coherence: Coherence,
    own: Mutex<Own>,
    /// Sockets that did not answer in time, with the time of the attempt.
    silent: Mutex<HashMap<String, Stopwatch>>,
}

/// This process's listener.
#[derive(Default)]
struct Own {
    tell: Option<Tell>,
    socket: Option<PathBuf>,
}

/// Where the sockets of the processes on a file are.
struct Place {
    folder: PathBuf,
    /// The file's name in the folder.
    name: String,
    /// What the sockets' names begin with. The name of the process follows.
    prefix: String,
    /// The file's owner. Sockets of other users are ignored.
    owner: Option<u32>,
}

/// Whether another process has received messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Heard,
    /// Nobody listens to the socket.
    Refused,
    Unsure,
}

/// A listener's answer to [`WHO`].
pub(super) struct Server {
    /// The file that the server has open, even if the path now names another.
    pub(super) file: FileId,
    /// The ids of its keys. `None` if it has no keys, as before its first start has completed.
    pub(super) keys: Option<String>,
    /// The log and the log's index that the server has open. `None` if it does not report them.
    pub(super) log: Option<[FileId; 2]>,
}

impl Place {
    /// Resolved on each call, because the file or its folder may have been replaced.
    fn of(path: &Path) -> Self {
        // Resolve links, so that every path to the file yields the same folder and name.
        let file = path.canonicalize().unwrap_or_else(|_| {
            let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
            folder.zip(path.file_name()).map_or_else(|| path.to_owned(), |(folder, name)| folder.join(name))
        });
        let folder = file.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Files whose names start alike share a prefix. Their processes receive each other's messages, which is
        // harmless.
        let stem: String = name.chars().filter(char::is_ascii).take(LONGEST_STEM).collect();
        let owner = std::fs::metadata(&file).or_else(|_| std::fs::metadata(&folder)).ok().map(|file| file.uid());
        Self { folder, name, prefix: format!("{stem}.live-"), owner }
    }

    /// The name of a process's socket.
    fn socket_of(&self, node: &str) -> String {
        format!("{}{node}{SUFFIX}", self.prefix)
    }

    /// The process of a socket.
    fn node_of<'a>(&self, socket: &'a str) -> &'a str {
        let name = socket.strip_prefix(&self.prefix).unwrap_or(socket);
        name.strip_suffix(SUFFIX).unwrap_or(name)
    }
}

impl SqliteSockets {
    pub(super) fn new(path: &Path, open: Option<Arc<OpenFile>>, keys: Option<AuditKeys>, coherence: Coherence) -> Self {
        Self { path: path.to_owned(), open, keys, coherence, own: Mutex::default(), silent: Mutex::default() }
    }

    /// The servers that opened a file of this name in this folder, whether or not the path still names that file.
    pub(super) async fn servers(&self) -> Vec<Server> {
        let place = Place::of(&self.path);
        let queries = self.others(&place, &BTreeSet::new()).into_iter().map(async |name| {
            let answer = async {
                let socket = SocketPath::new(&place.folder, &name)?;
                let mut stream = UnixStream::connect(&socket.path).await?;
                stream.write_all(WHO.as_bytes()).await?;
                stream.shutdown().await?;
                let mut answer = String::new();
                stream.take(LONGEST).read_to_string(&mut answer).await.map(|_| answer)
            };
            let answer = tokio::time::timeout(PATIENCE, answer).await.ok()?.ok()?;
            let mut lines = answer.lines();
            let (name, file, keys) = (lines.next()?, lines.next()?, lines.next());
            let file = FileId::parse(file).filter(|_| name == place.name)?;
            let log = lines.next().and_then(|log| log.split_once(','));
            let log = log.and_then(|(log, index)| Some([FileId::parse(log)?, FileId::parse(index)?]));
            Some(Server { file, keys: keys.filter(|keys| !keys.is_empty()).map(str::to_owned), log })
        });
        futures_util::future::join_all(queries.collect::<Vec<_>>()).await.into_iter().flatten().collect()
    }

    /// The answer to [`WHO`].
    fn who(&self) -> String {
        let Some(open) = &self.open else { return String::new() };
        let keys = self.keys.as_ref().map(AuditKeys::ids).unwrap_or_default();
        let log = open.log().map(|[log, index]| format!("{log},{index}")).unwrap_or_default();
        format!("{}\n{}\n{keys}\n{log}\n", Place::of(&self.path).name, open.id())
    }

    /// Passes the messages to this process's listener, and returns them as lines for the others. The number comes last:
    /// whoever has received it has received everything.
    pub(super) fn tell_own(&self, outbox: &Outbox) -> String {
        let announced = outbox.announced.iter().map(|announced| (announced.at, &announced.text));
        let notes: Vec<_> = announced.chain(outbox.mentioned.iter().map(|text| (None, text))).collect();
        let tell = self.own().tell.clone();
        if let Some(tell) = tell {
            for (at, text) in &notes {
                tell(Heard::Said { at: *at, text: (*text).clone() });
            }
        }
        let said = notes.into_iter().map(|(at, text)| Line::Said { at, tag: None, text: text.replace('\n', " ") });
        let is_fence = outbox.has_announced(FENCE);
        let number = outbox.number.map(|number| Line::Announced { number, is_fence });
        said.chain(number).map(|line| format!("{line}\n")).collect()
    }

    /// Sends the lines to all other processes, and waits for those in `rows`, which may answer from memory: until each
    /// has received the lines, or its lease from before `committed` has run out.
    pub(super) async fn tell_others(
        &self,
        lines: String,
        committed: Moment,
        wait: Option<Wait>,
        rows: BTreeSet<String>,
    ) -> Unconfirmed {
        let place = Place::of(&self.path);
        let others = self.others(&place, &rows);
        let number = wait.as_ref().map(|wait| wait.tag().number);
        let sending = others.iter().map(async |name| {
            let told = self.tell_other(&place, name, &lines).await;
            let node = place.node_of(name).to_owned();
            // Not after mentions, which read no rows: the row and the socket are removed together.
            if number.is_some() && told == Told::Refused {
                let _ = std::fs::remove_file(place.folder.join(name));
            }
            // A process that does not listen answers nothing.
            if let (Some(number), Told::Heard | Told::Refused) = (number, told) {
                self.coherence.hear_confirmation(number, &node);
            }
            (node, told)
        });
        let waiting = async {
            match wait {
                Some(wait) => wait.finish(committed, rows).await,
                None => BTreeSet::new(),
            }
        };
        let (told, silent) = tokio::join!(futures_util::future::join_all(sending.collect::<Vec<_>>()), waiting);
        let refusing = told.into_iter().filter(|(_, told)| *told == Told::Refused).map(|(node, _)| node);
        Unconfirmed { refusing: refusing.collect(), silent }
    }

    /// Sends this process a beat, the way other processes send their messages.
    pub(super) async fn beat(&self, number: u64) -> Result<()> {
        if self.own().socket.is_none() {
            return Ok(());
        }
        let place = Place::of(&self.path);
        let sending = async {
            let socket = SocketPath::new(&place.folder, &place.socket_of(self.coherence.name()))?;
            let mut stream = UnixStream::connect(&socket.path).await?;
            stream.write_all(format!("{}\n", Line::Beat(number)).as_bytes()).await
        };
        match tokio::time::timeout(BEAT_INTERVAL * 2, sending).await {
            Ok(sent) => sent.map_err(|error| Error::unavailable(Away::Connection, error)),
            Err(_) => Err(Error::unavailable(Away::Deadline, "the socket of this process did not take a beat in time")),
        }
    }

    /// Listens until the future is dropped.
    pub(super) async fn listen(&self, tell: Tell) {
        self.own().tell = Some(tell.clone());
        let _until_dropped = RemoveOnDrop(self);
        let mut outage = Outage::new("listening to other processes on the database file");
        loop {
            match self.open_socket() {
                Ok(listener) => {
                    outage.over();
                    self.coherence.start_over();
                    tell(Heard::Sure);
                    let error = tokio::select! {
                        error = self.serve_connections(&listener, &tell) => Some(error),
                        () = self.socket_moved() => None,
                    };
                    self.coherence.lose();
                    tell(Heard::Unsure);
                    let Some(error) = error else { continue };
                    outage.failed(&error);
                }
                Err(error) => outage.failed(&error),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Creates this process's socket. The socket gets its final name only once it accepts connections. Otherwise
    /// another process could mistake it for an abandoned socket and remove it.
    fn open_socket(&self) -> io::Result<UnixListener> {
        self.remove_own();
        let place = Place::of(&self.path);
        let draft = SocketPath::new(&place.folder, &format!("{}{}.new", place.prefix, self.coherence.name()))?;
        let listener = UnixListener::bind(&draft.path)?;
        std::fs::set_permissions(&draft.path, Permissions::from_mode(0o600))?;
        let socket = place.folder.join(place.socket_of(self.coherence.name()));
        std::fs::rename(&draft.path, &socket)?;
        self.own().socket = Some(socket);
        Ok(listener)
    }

    /// Waits until the socket is no longer where other processes look for it.
    async fn socket_moved(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let socket = self.own().socket.clone().unwrap_or_default();
            let place = Place::of(&self.path);
            let named = socket.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&place.prefix));
            if socket.parent() != Some(&place.folder) || !named || !socket.exists() {
                return;
            }
        }
    }

    /// Serves incoming connections until the socket fails, one at a time, since each is short.
    async fn serve_connections(&self, listener: &UnixListener, tell: &Tell) -> io::Error {
        loop {
            let mut stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => return error,
            };
            let serving = async {
                let mut lines = String::new();
                (&mut stream).take(LONGEST).read_to_string(&mut lines).await?;
                if lines == WHO {
                    return stream.write_all(self.who().as_bytes()).await;
                }
                if lines.len() as u64 == LONGEST {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
                }
                lines.lines().for_each(|line| receive(line, &self.coherence, tell));
                stream.write_all(HEARD).await
            };
            match tokio::time::timeout(SLOWEST, serving).await {
                Ok(Ok(())) => {}
                // A beat's sender does not wait for the answer.
                Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, "reading a message from another process failed");
                    self.coherence.lose();
                }
                Err(_) => self.coherence.lose(),
            }
        }
    }

    /// The sockets of the other processes. Anybody who can write to the folder could create a socket that never
    /// answers, so only sockets of the file's owner count. Sockets of processes in `rows` are never ignored.
    fn others(&self, place: &Place, rows: &BTreeSet<String>) -> Vec<String> {
        let own = place.socket_of(self.coherence.name());
        self.silent().retain(|_, since| since.elapsed() < IGNORED_FOR);
        let entries = std::fs::read_dir(&place.folder).into_iter().flatten().flatten();
        let ours = entries.filter(|entry| {
            entry.metadata().is_ok_and(|found| found.file_type().is_socket() && Some(found.uid()) == place.owner)
        });
        ours.filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with(&place.prefix) && name.ends_with(SUFFIX) && *name != own)
            .filter(|name| rows.contains(place.node_of(name)) || !self.silent().contains_key(name))
            .collect()
    }

    async fn tell_other(&self, place: &Place, name: &str, lines: &str) -> Told {
        let sending = async {
            let socket = SocketPath::new(&place.folder, name)?;
            let mut stream = UnixStream::connect(&socket.path).await?;
            stream.write_all(lines.as_bytes()).await?;
            stream.shutdown().await?;
            let mut answer = [0; HEARD.len()];
            stream.read_exact(&mut answer).await.map(drop)
        };
        match tokio::time::timeout(PATIENCE, sending).await {
            Ok(Ok(())) => return Told::Heard,
            // The process ended without removing its socket.
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Told::Refused;
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "notifying another process on the database file failed")
            }
            Err(_) => {
                tracing::warn!(
                    "another process on the database file did not answer in time and is ignored for a minute, \
                     unless it may answer from memory"
                );
                self.silent().insert(name.to_owned(), Stopwatch::now());
            }
        }
        Told::Unsure
    }

    fn remove_own(&self) {
        if let Some(socket) = self.own().socket.take() {
            let _ = std::fs::remove_file(socket);
        }
    }

    fn silent(&self) -> MutexGuard<'_, HashMap<String, Stopwatch>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the listener's socket when dropped.
struct RemoveOnDrop<'a>(&'a SqliteSockets);

impl Drop for RemoveOnDrop<'_> {
    fn drop(&mut self) {
        self.0.remove_own();
        self.0.own().tell = None;
    }
}

/// A socket path within the length limit. If the plain path is too long, it goes through a descriptor of the open
/// folder.
struct SocketPath {
    path: PathBuf,
    _folder: Option<File>,
}

impl SocketPath {
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
