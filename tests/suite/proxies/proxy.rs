//! A real proxy with the printed configuration. Only ports of this machine and paths of files are replaced.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sessile::web::snippet::Proxy;

use crate::support::lasting_port;

/// A running proxy. Dropping it kills the process and removes its files.
pub struct Running {
    child: Child,
    folder: PathBuf,
}

impl Running {
    /// Starts the proxy, which listens on this port.
    pub fn start(proxy: Proxy, program: &Path, printed: &str, port: u16) -> Self {
        let folder = new_folder();
        let inner = lasting_port();
        let text = printed
            .replace("/etc/haproxy/", &format!("{}/", folder.display()))
            .replace("/etc/traefik/", &format!("{}/", folder.display()))
            .replace("127.0.0.1:8099", &format!("127.0.0.1:{inner}"));
        let files = files(&text);
        for (name, content) in &files {
            let content = match proxy {
                Proxy::Nginx => nginx_frame(&folder, content),
                Proxy::Caddy => format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{content}"),
                _ => content.clone(),
            };
            std::fs::write(folder.join(name), content).expect("a file");
        }
        let main = folder.join(&files[0].0);
        let log = || std::fs::File::options().create(true).append(true).open(folder.join("log")).expect("a log");
        let mut command = Command::new(program);
        command.args(arguments(proxy, &main)).current_dir(&folder).stdin(Stdio::null()).stdout(log()).stderr(log());
        command.env("HOME", &folder).env("XDG_DATA_HOME", &folder).env("XDG_CONFIG_HOME", &folder);
        let mut running = Self { child: command.spawn().expect("a proxy"), folder };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let exited = running.child.try_wait().expect("its state");
            assert!(exited.is_none(), "{proxy} exited: {}", running.log());
            assert!(started.elapsed() < Duration::from_secs(60), "{proxy} does not listen: {}", running.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        running
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The program, if it is installed. `scripts/test` names the folder of those that Debian does not have.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting, not the product's")]
pub fn program(proxy: Proxy) -> Option<PathBuf> {
    let folder = match proxy {
        Proxy::Nginx | Proxy::Haproxy => PathBuf::from("/usr/sbin"),
        _ => PathBuf::from(std::env::var_os("SESSILE_TEST_PROXIES")?),
    };
    Some(folder.join(proxy.word())).filter(|path| path.exists())
}

fn arguments(proxy: Proxy, main: &Path) -> Vec<String> {
    let main = main.display();
    let words = match proxy {
        Proxy::Nginx => format!("-c {main} -e stderr"),
        Proxy::Caddy => format!("run --adapter caddyfile --config {main}"),
        Proxy::Traefik => format!("--configFile={main}"),
        Proxy::Haproxy => format!("-db -f {main}"),
        Proxy::Envoy => format!("-c {main} --concurrency 1 --disable-hot-restart"),
    };
    words.split(' ').map(str::to_owned).collect()
}

/// The printed file belongs into the `http` block of nginx.conf.
fn nginx_frame(folder: &Path, site: &str) -> String {
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};"))
        .concat();
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr; events {{}}\n\
         http {{ access_log off; {temporary}\n{site} }}"
    )
}

/// The files of a printed configuration. A single one has no name in it; Envoy
/// needs one that ends like this.
pub fn files(printed: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    for line in printed.lines() {
        match (line.strip_prefix("--- "), files.last_mut()) {
            (Some(name), _) => files.push((name.to_owned(), String::new())),
            (None, Some((_, content))) => *content += &format!("{line}\n"),
            (None, None) if printed.contains("\n--- ") => {}
            (None, None) => files.push(("main.yaml".to_owned(), format!("{line}\n"))),
        }
    }
    files
}

/// A new folder that its user removes.
pub fn new_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("sessile-proxy-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}
