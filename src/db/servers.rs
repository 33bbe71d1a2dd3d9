//! Which servers run on an SQLite file, whatever became of its path. Beside the socket in the file's folder each of them has
//! one in Linux's abstract namespace, which no change of files or folders can hide; its name says for which path and which
//! file it is. Asked by commands, and by a server that starts, before they open the file.
//!
//! Invariant: only processes of the file's owner are believed, and a server on another file that merely has the same path, in
//! another container, is none of ours.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
};

use super::{
    beside::{LONGEST, PATIENCE, Place, Reach, SLOWEST, WHO},
    file::FileId,
};
use crate::secret;

/// How abstract names begin.
const FAMILY: &str = "sessile-sqlite";
/// Where Linux lists the sockets of all processes.
const LIST: &str = "/proc/net/unix";

/// What a server says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// The last part of its path to the file, without links.
    pub(super) name: String,
    /// The file that it has open, whatever the path names by now.
    pub(super) file: FileId,
    /// The ids of its keys; `None` before it has read them.
    pub(super) keys: Option<String>,
    /// The log that it has open, and the log's index; `None` before it watches them.
    pub(super) log: Option<[FileId; 2]>,
    /// The file that its path names now.
    pub(super) at_path: Option<FileId>,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.as_deref().unwrap_or_default();
        let [log, index] = self.log.map_or_else(Default::default, |files| files.map(|file| file.to_string()));
        let at_path = self.at_path.map(|file| file.to_string()).unwrap_or_default();
        write!(f, "{}\n{}\n{keys}\n{log}\n{index}\n{at_path}\n", self.name, self.file)
    }
}

impl Server {
    /// From what Display made. The last three lines are missing in what older versions say.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (name, file) = (lines.next()?.to_owned(), FileId::parse(lines.next()?)?);
        let keys = lines.next().filter(|keys| !keys.is_empty()).map(str::to_owned);
        let mut file_id = || lines.next().and_then(FileId::parse);
        let (log, index, at_path) = (file_id(), file_id(), file_id());
        Some(Self { name, file, keys, log: log.zip(index).map(<[FileId; 2]>::from), at_path })
    }
}

/// The servers that have the file open which the path names, or had the path for another one.
pub(super) async fn servers(path: &Path) -> Vec<Server> {
    let place = Place::of(path);
    let (in_folder, anywhere) = tokio::join!(in_folder(&place), anywhere(path, &place));
    in_folder.into_iter().chain(anywhere).collect()
}

async fn in_folder(place: &Place) -> Vec<Server> {
    let asked = place.sockets().map(async |name| {
        let reach = Reach::new(&place.folder, &name).ok()?;
        ask(&reach.path, None).await.filter(|server| server.name == place.name)
    });
    futures_util::future::join_all(asked.collect::<Vec<_>>()).await.into_iter().flatten().collect()
}

async fn anywhere(path: &Path, place: &Place) -> Vec<Server> {
    let file = FileId::of(path).ok();
    let names = std::fs::read_to_string(LIST).unwrap_or_default();
    let (for_path, for_file) = (path_part(path), file.map(file_part));
    let asked = listed(&names).into_iter().filter_map(|name| {
        let mut parts = name.split('/').skip(1);
        let (path, file) = (parts.next()?, parts.next()?);
        (path == for_path || Some(file) == for_file.as_deref()).then_some(name)
    });
    let asked = asked.map(async |name| ask(&abstract_path(name), place.owner).await);
    let found = futures_util::future::join_all(asked.collect::<Vec<_>>()).await;
    // The same path in another container names another file, and the server there has that one open.
    found.into_iter().flatten().filter(|server| server.at_path == file || Some(server.file) == file).collect()
}

/// What a server answers, if it is a process of this owner, or of whoever asks.
async fn ask(socket: &Path, owner: Option<u32>) -> Option<Server> {
    let answer = async {
        let mut stream = UnixStream::connect(socket).await?;
        if let Some(owner) = owner {
            check_peer(&stream, &[owner])?;
        }
        stream.write_all(WHO.as_bytes()).await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.take(LONGEST).read_to_string(&mut answer).await.map(|_| answer)
    };
    Server::parse(&tokio::time::timeout(PATIENCE, answer).await.ok()?.ok()?)
}

/// Answers whoever asks on a socket in the abstract namespace, until this is dropped. Where there is none, sockets in the
/// folder have to do.
pub(super) async fn answer(path: &Path, file: FileId, who: impl AsyncFn() -> String) {
    let listener = match open_socket(path, file) {
        Ok(listener) => listener,
        Err(error) => return tracing::debug!(%error, "no socket in the abstract namespace"),
    };
    loop {
        let mut stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => return tracing::debug!(%error, "the socket in the abstract namespace failed"),
        };
        let answered = async {
            // Commands of the system's administrator are as good as those of the file's owner.
            check_peer(&stream, &[0, Place::of(path).owner.unwrap_or(0)])?;
            let mut asked = String::new();
            (&mut stream).take(WHO.len() as u64).read_to_string(&mut asked).await?;
            stream.write_all(who().await.as_bytes()).await
        };
        if let Ok(Err(error)) = tokio::time::timeout(SLOWEST, answered).await {
            tracing::debug!(%error, "question of another process not answered");
        }
    }
}

fn open_socket(path: &Path, file: FileId) -> std::io::Result<UnixListener> {
    let random = secret::random_name("").map_err(std::io::Error::other)?;
    let random: String = random.chars().take(12).collect();
    UnixListener::bind(abstract_path(&format!("{FAMILY}/{}/{}/{random}", path_part(path), file_part(file))))
}

fn check_peer(stream: &UnixStream, others: &[u32]) -> std::io::Result<()> {
    let user = stream.peer_cred()?.uid();
    if user == rustix::process::geteuid().as_raw() || others.contains(&user) {
        return Ok(());
    }
    Err(std::io::ErrorKind::PermissionDenied.into())
}

/// As tokio names sockets that have no file.
fn abstract_path(name: &str) -> PathBuf {
    PathBuf::from(format!("\0{name}"))
}

/// The names of our sockets in what Linux lists; each once, though each connection is listed too.
fn listed(sockets: &str) -> BTreeSet<&str> {
    let names = sockets.lines().filter_map(|line| line.rsplit(' ').next()?.strip_prefix('@'));
    names.filter(|name| name.strip_prefix(FAMILY).is_some_and(|rest| rest.starts_with('/'))).collect()
}

/// The path as it was given, links and all: it stays the same when one of its folders is replaced.
fn path_part(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

fn file_part(file: FileId) -> String {
    file.to_string().replace(' ', ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Option<FileId> {
        FileId::parse(text)
    }

    #[test]
    fn what_a_server_says_of_itself_is_understood() {
        let said = Server {
            name: "it.sqlite3".to_owned(),
            file: id("1 2").unwrap(),
            keys: None,
            log: Some([id("1 3").unwrap(), id("1 4").unwrap()]),
            at_path: None,
        };
        assert_eq!(Server::parse(&said.to_string()).as_ref(), Some(&said));
        let sparse = Server { keys: Some("a b".to_owned()), log: None, at_path: id("1 5"), ..said };
        assert_eq!(Server::parse(&sparse.to_string()), Some(sparse));
        let older = Server::parse("it.sqlite3\n1 2\nkey\n").unwrap();
        assert_eq!((older.keys.as_deref(), older.log, older.at_path), (Some("key"), None, None));
        assert_eq!(Server::parse("it.sqlite3\n"), None);
    }

    #[test]
    fn our_sockets_are_found_in_the_list_of_the_system() {
        let list = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000: 00000002 00000000 00010000 0001 01 1 @sessile-sqlite/a/1.2/x\n\
            0000: 00000003 00000000 00000000 0001 03 2 @sessile-sqlite/a/1.2/x\n\
            0000: 00000002 00000000 00010000 0001 01 3 @sessile-sqlite-other/a\n\
            0000: 00000002 00000000 00010000 0001 01 4 /run/sessile-sqlite/a\n0000: 00000002 0001 01 5\n";
        assert_eq!(listed(list).into_iter().collect::<Vec<_>>(), ["sessile-sqlite/a/1.2/x"]);
    }
}
