//! HAProxy with the files in `ops/patroni`. Only ports and addresses are replaced.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::lasting_port;

const PEOPLE: &str = include_str!("../../../../ops/patroni/haproxy.cfg");
const PRIMARY: &str = include_str!("../../../../ops/patroni/haproxy-primary.cfg");

/// A running HAProxy. Dropping it kills the process.
pub struct Haproxy {
    child: Child,
    folder: PathBuf,
    pub port: u16,
}

impl Haproxy {
    /// In front of two nodes of Sessile, on `port`, without TLS.
    pub fn to_nodes(nodes: [u16; 2], port: u16) -> Self {
        let changes = [
            ("10.0.0.20:443 ssl crt /etc/haproxy/id.example.com.pem alpn http/1.1", format!("127.0.0.1:{port}")),
            ("X-Forwarded-Proto https", "X-Forwarded-Proto http".to_owned()),
            ("10.0.0.21:8080", format!("127.0.0.1:{}", nodes[0])),
            ("10.0.0.22:8080", format!("127.0.0.1:{}", nodes[1])),
        ];
        Self::start(PEOPLE, &changes, port)
    }

    /// Beside a node of Sessile. Leads to the primary of these members, each with the ports of its PostgreSQL and Patroni.
    pub fn to_primary(members: &[(u16, u16)]) -> Self {
        let port = lasting_port();
        let mut changes = vec![("bind 127.0.0.1:5432", format!("bind 127.0.0.1:{port}"))];
        let shown = ["10.0.0.11:5432 port 8008", "10.0.0.12:5432 port 8008", "10.0.0.13:5432 port 8008"];
        let ours = members.iter().map(|(postgres, rest)| format!("127.0.0.1:{postgres} port {rest}"));
        changes.extend(shown.into_iter().zip(ours));
        Self::start(PRIMARY, &changes, port)
    }

    fn start(shown: &str, changes: &[(&str, String)], port: u16) -> Self {
        let text = changes.iter().fold(shown.to_owned(), |text, (shown, ours)| {
            assert!(text.contains(shown), "{shown} is gone from ops/patroni");
            text.replace(shown, ours)
        });
        let name = sessile::base::secret::random_name("sessile_haproxy_").unwrap();
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        let log = || std::fs::File::options().create(true).append(true).open(folder.join("log")).expect("a log");
        let mut command = Command::new("/usr/sbin/haproxy");
        command.args(["-db", "-f"]).arg(&file).stdin(Stdio::null()).stdout(log()).stderr(log());
        let mut haproxy = Self { child: command.spawn().expect("HAProxy"), folder, port };
        let give_up = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(haproxy.child.try_wait().expect("its state").is_none(), "HAProxy exited: {}", haproxy.log());
            assert!(Instant::now() < give_up, "HAProxy does not listen: {}", haproxy.log());
            std::thread::yield_now();
        }
        haproxy
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
