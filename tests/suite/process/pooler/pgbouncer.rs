//! A PgBouncer process for a case.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{TestDb, lasting_port};

/// A PgBouncer process. Dropping it kills the process.
pub struct Pooler {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Pooler {
    /// Starts PgBouncer in front of all databases of this server.
    pub fn start(db: &TestDb, mode: &str) -> Self {
        let port = lasting_port();
        let folder = db.folder.join(format!("pgbouncer-{mode}"));
        std::fs::create_dir(&folder).unwrap();
        let (host, target) = place(db);
        let settings = format!(
            "[databases]\n* = host={host} port={target} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\nadmin_users = postgres\nserver_login_retry = 1\npool_mode = {mode}\ndefault_pool_size = 30\n\
             logfile = {0}/log\npidfile = {0}/pid\n",
            folder.display()
        );
        std::fs::write(folder.join("pgbouncer.ini"), settings).unwrap();
        Self { child: run(&folder), folder, port }
    }

    /// The URL of the same database through PgBouncer.
    fn url(&self, db: &TestDb) -> String {
        let name = db.url().rsplit('/').next().unwrap();
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    /// Waits until it accepts connections.
    pub fn wait_until_ready(&self) {
        let give_up = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < give_up, "PgBouncer does not listen");
            std::thread::yield_now();
        }
    }

    /// Sends a signal to the process.
    pub fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    /// Ends the process with a signal, and starts it again on the same port after `meanwhile`.
    pub fn restart(&mut self, name: &str, meanwhile: impl FnOnce()) {
        self.signal(name);
        self.child.wait().expect("an exit status");
        meanwhile();
        self.child = run(&self.folder);
        self.wait_until_ready();
    }

    /// Starts a command on the admin console, which may wait for something.
    pub fn begin(&self, command: &str) -> Child {
        let url = format!("postgres://postgres@127.0.0.1:{}/pgbouncer", self.port);
        let mut psql = Command::new("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", command, &url]);
        psql.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().expect("psql")
    }

    /// Runs a command on the admin console.
    pub fn command(&self, command: &str) {
        assert!(self.begin(command).wait().expect("an exit status").success(), "{command}");
    }
}

/// PgBouncer refuses to run as root.
fn run(folder: &Path) -> Child {
    let mut program = Command::new("/usr/sbin/pgbouncer");
    if rustix::process::getuid().is_root() {
        let give = Command::new("chown").args(["-R", "postgres"]).arg(folder).status().expect("chown");
        assert!(give.success());
        let open = Command::new("chmod").arg("a+rx").arg(folder.parent().unwrap()).status().expect("chmod");
        assert!(open.success());
        // Unlike runuser, it becomes the program, so that the program gets the signals.
        program = Command::new("setpriv");
        program.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "/usr/sbin/pgbouncer"]);
    }
    let file = folder.join("pgbouncer.ini");
    program.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pgbouncer")
}

fn signal(name: &str, process: u32) {
    let _ = Command::new("kill").args([name, &process.to_string()]).status();
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn place(db: &TestDb) -> (String, String) {
    let (_, address) = db.url().split_once('@').unwrap();
    let (host, port) = address.split('/').next().unwrap().split_once(':').unwrap();
    (host.to_owned(), port.to_owned())
}

/// The same database, reached through the pooler.
pub fn through(db: &TestDb, pooler: &Pooler) -> TestDb {
    let other = TestDb::in_own_postgres(pooler.url(db));
    std::fs::copy(db.key_file(), other.key_file()).unwrap();
    other
}
