//! Three members of a PostgreSQL that Patroni runs, with three members of etcd, from `ops/patroni/patroni.yml`. Only
//! names, ports and paths are replaced.
//!
//! Other members reach a member's PostgreSQL and Patroni through proxies, and so does its Patroni etcd. So a member can be
//! cut off while clients still reach it, which is the worst kind of partition.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::super::faults::proxy::{Proxy, Weather};
use crate::support::lasting_port;

const SHOWN: &str = include_str!("../../../../ops/patroni/patroni.yml");
const MEMBERS: usize = 3;
/// Longer than a failover and the return of a member take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// The programs that are not installed.
pub fn missing() -> Vec<&'static str> {
    let places = [
        ("patroni", "/usr/bin/patroni"),
        ("etcd-server", "/usr/bin/etcd"),
        ("python3-etcd", "/usr/lib/python3/dist-packages/etcd"),
        ("haproxy", "/usr/sbin/haproxy"),
    ];
    places.into_iter().filter(|(_, place)| !Path::new(place).exists()).map(|(name, _)| name).collect()
}

/// The cluster. Dropping it kills all its processes and deletes its files.
pub struct Members {
    folder: PathBuf,
    members: Vec<Member>,
}

struct Member {
    /// From 0. Its name in the cluster is `db1` for 0.
    n: usize,
    folder: PathBuf,
    postgres: u16,
    rest: u16,
    etcd: u16,
    /// Where the other members reach its PostgreSQL, and its Patroni.
    from_others: (Proxy, Proxy),
    /// Where its Patroni reaches each member of etcd.
    to_etcd: Vec<Proxy>,
    /// Patroni and etcd, while they run.
    daemons: Vec<Child>,
}

impl Members {
    /// Starts all members on an empty folder and waits until two standbys follow the primary.
    pub fn start() -> Self {
        let name = sessile::base::secret::random_name("sessile_patroni_").unwrap();
        let folder = std::env::temp_dir().join(name);
        let etcd: Vec<u16> = (0..MEMBERS).map(|_| lasting_port()).collect();
        let members = (0..MEMBERS).map(|n| Member::new(n, folder.join(format!("db{}", n + 1)), &etcd)).collect();
        let mut all = Self { folder, members };
        let peers: Vec<String> = (1..=MEMBERS).map(|n| format!("db{n}=http://127.0.0.1:{}", lasting_port())).collect();
        for member in &all.members {
            std::fs::create_dir_all(&member.folder).unwrap();
            std::fs::write(member.folder.join("peers"), peers.join(",")).unwrap();
            std::fs::write(member.folder.join("patroni.yml"), member.configuration()).unwrap();
        }
        give(&all.folder);
        all.members.iter_mut().for_each(Member::start_etcd);
        all.members.iter_mut().for_each(Member::start_patroni);
        all.wait_until_whole();
        all.sql("CREATE DATABASE sessile OWNER sessile");
        all
    }

    /// The URL that names all members.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.members.iter().map(|one| format!("127.0.0.1:{}", one.postgres)).collect();
        format!("postgres://sessile:CHANGE-SESSILE@{}/sessile?target_session_attrs=read-write", hosts.join(","))
    }

    /// The ports of each member's PostgreSQL and Patroni.
    pub fn ports(&self) -> Vec<(u16, u16)> {
        self.members.iter().map(|member| (member.postgres, member.rest)).collect()
    }

    /// The member that says that it is the primary.
    pub fn primary(&self) -> Option<usize> {
        self.members.iter().position(Member::is_primary)
    }

    /// Waits until a member other than `n` is the primary.
    pub fn wait_for_successor(&self, n: usize) {
        self.wait("a successor", || self.members.iter().any(|member| member.n != n && member.is_primary()));
    }

    /// The standby whose confirmations commits wait for.
    pub fn synchronous(&self) -> Option<usize> {
        let name = self.ask("SELECT application_name FROM pg_stat_replication WHERE sync_state = 'sync'")?;
        name.strip_prefix("db")?.parse::<usize>().ok().map(|n| n - 1)
    }

    /// Waits until commits wait for a standby other than `n`.
    pub fn wait_for_another_synchronous(&self, n: usize) {
        self.wait("another synchronous standby", || self.synchronous().is_some_and(|other| other != n));
    }

    /// Waits until both standbys follow the primary, one of them synchronously.
    pub fn wait_until_whole(&self) {
        let followers = "SELECT count(*), count(*) FILTER (WHERE sync_state = 'sync') FROM pg_stat_replication \
            WHERE state = 'streaming'";
        self.wait("two standbys", || self.ask(followers).as_deref() == Some("2|1"));
    }

    /// Runs SQL on the primary as the superuser.
    pub fn sql(&self, statement: &str) -> String {
        self.ask(statement).unwrap_or_else(|| panic!("{statement}: {}", self.log()))
    }

    fn ask(&self, statement: &str) -> Option<String> {
        let port = self.members[self.primary()?].postgres;
        let url = format!("postgres://postgres:CHANGE-SUPERUSER@127.0.0.1:{port}/postgres?connect_timeout=5");
        let out = Command::new("psql").args(["-XAtq", "-c", statement, &url]).output().expect("psql");
        out.status.success().then(|| String::from_utf8(out.stdout).unwrap().trim().to_owned())
    }

    /// Kills the member's PostgreSQL, Patroni and etcd, as when its machine fails.
    pub fn kill(&mut self, n: usize) {
        let member = &mut self.members[n];
        member.kill_daemons();
        signal("-KILL", &member.postgres_processes());
    }

    /// Kills the member's Patroni and etcd. Its PostgreSQL goes on.
    pub fn kill_patroni(&mut self, n: usize) {
        self.members[n].kill_daemons();
    }

    /// Starts a killed member, or kills and starts its Patroni and etcd.
    pub fn start_again(&mut self, n: usize) {
        let member = &mut self.members[n];
        member.kill_daemons();
        member.start_etcd();
        member.start_patroni();
    }

    /// Suspends all processes of the member until the returned guard is dropped.
    pub fn freeze(&self, n: usize) -> Frozen {
        let member = &self.members[n];
        let daemons = member.daemon_processes();
        signal("-STOP", &daemons);
        // The postmaster first, so that it starts no other process.
        signal("-STOP", member.postgres_processes().get(..1).unwrap_or_default());
        let all: Vec<String> = daemons.into_iter().chain(member.postgres_processes()).collect();
        signal("-STOP", &all);
        Frozen(all)
    }

    /// Suspends the member's Patroni and etcd. Its PostgreSQL goes on.
    pub fn freeze_patroni(&self, n: usize) -> Frozen {
        let daemons = self.members[n].daemon_processes();
        signal("-STOP", &daemons);
        Frozen(daemons)
    }

    /// Cuts the member off from the others and from etcd: nothing arrives, and no connection ends. Clients still reach it.
    pub fn cut_off(&self, n: usize) {
        self.members[n].proxies().for_each(|proxy| proxy.set(Weather::Still));
    }

    /// Ends [`cut_off`](Self::cut_off).
    pub fn reconnect(&self, n: usize) {
        for proxy in self.members[n].proxies() {
            proxy.reset_all();
            proxy.set(Weather::Fair);
        }
    }

    /// The last lines of each member's log.
    pub fn log(&self) -> String {
        let last = |member: &Member| {
            let log = std::fs::read_to_string(member.folder.join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            format!("db{}:\n{}\n", member.n + 1, lines[lines.len().saturating_sub(40)..].join("\n"))
        };
        self.members.iter().map(last).collect()
    }

    fn wait(&self, what: &str, holds: impl Fn() -> bool) {
        let give_up = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < give_up, "{what} did not come within {PATIENCE:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(250));
        }
    }
}

#[expect(clippy::print_stderr, reason = "the logs help to explain a failed case")]
impl Drop for Members {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the last lines of the members' logs:\n{}", self.log());
        }
        for n in 0..self.members.len() {
            self.kill(n);
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Member {
    fn new(n: usize, folder: PathBuf, all_etcd: &[u16]) -> Self {
        let (postgres, rest) = (lasting_port(), lasting_port());
        Self {
            n,
            folder,
            postgres,
            rest,
            etcd: all_etcd[n],
            from_others: (Proxy::to(postgres), Proxy::to(rest)),
            to_etcd: all_etcd.iter().map(|port| Proxy::to(*port)).collect(),
            daemons: Vec::new(),
        }
    }

    fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        [&self.from_others.0, &self.from_others.1].into_iter().chain(&self.to_etcd)
    }

    /// The configuration that operators copy, for this member on this machine.
    fn configuration(&self) -> String {
        let folder = self.folder.display();
        let local = |port: u16| format!("127.0.0.1:{port}");
        let mut changes = vec![
            ("name: db1".to_owned(), format!("name: db{}", self.n + 1)),
            // Otherwise Patroni asks etcd for its addresses and bypasses the proxies.
            ("\netcd:\n".to_owned(), "\netcd:\n  use_proxies: true\n".to_owned()),
            (
                "connect_address: 10.0.0.11:8008".to_owned(),
                format!("connect_address: {}", local(self.from_others.1.port)),
            ),
            (
                "connect_address: 10.0.0.11:5432".to_owned(),
                format!("connect_address: {}", local(self.from_others.0.port)),
            ),
            ("10.0.0.11:8008".to_owned(), local(self.rest)),
            ("10.0.0.11:5432".to_owned(), local(self.postgres)),
            ("10.0.0.0/24".to_owned(), "127.0.0.1/32".to_owned()),
            ("/var/lib/postgresql/15/sessile".to_owned(), format!("{folder}/data")),
            ("/var/lib/postgresql/pgpass-patroni".to_owned(), format!("{folder}/pgpass")),
            ("/var/run/postgresql".to_owned(), folder.to_string()),
            ("/usr/lib/postgresql/15/bin".to_owned(), programs().display().to_string()),
        ];
        let etcd = self.to_etcd.iter().enumerate();
        changes.extend(etcd.map(|(n, proxy)| (format!("10.0.0.1{}:2379", n + 1), local(proxy.port))));
        changes.into_iter().fold(SHOWN.to_owned(), |text, (shown, ours)| {
            assert!(text.contains(&shown), "{shown} is gone from ops/patroni/patroni.yml");
            text.replace(&shown, &ours)
        })
    }

    fn start_etcd(&mut self) {
        let peers = std::fs::read_to_string(self.folder.join("peers")).unwrap();
        let own_peer = peers.split(',').nth(self.n).and_then(|peer| peer.split_once('=')).expect("a peer").1;
        let (name, client) = (format!("db{}", self.n + 1), format!("http://127.0.0.1:{}", self.etcd));
        let data = self.folder.join("etcd").display().to_string();
        let etcd = [
            ("--name", name.as_str()),
            ("--data-dir", &data),
            ("--listen-client-urls", &client),
            ("--advertise-client-urls", &client),
            ("--listen-peer-urls", own_peer),
            ("--initial-advertise-peer-urls", own_peer),
            ("--initial-cluster", &peers),
            ("--enable-v2", "true"),
            ("--heartbeat-interval", "200"),
            ("--election-timeout", "2000"),
            ("--log-level", "error"),
        ];
        let etcd = etcd.map(|(option, value)| format!("{option}={value}"));
        self.daemons.push(self.daemon("/usr/bin/etcd", etcd.iter().map(String::as_str).collect()));
    }

    /// Waits until etcd has found its others, without which Patroni 3.0 exits, and starts Patroni.
    fn start_patroni(&mut self) {
        let give_up = Instant::now() + PATIENCE;
        while !Self::answer_of(self.etcd, "GET /version").is_some_and(|answer| answer.contains("\"etcdcluster\":\"3")) {
            assert!(Instant::now() < give_up, "etcd of db{} does not start", self.n + 1);
            std::thread::sleep(Duration::from_millis(20));
        }
        let configuration = self.folder.join("patroni.yml").display().to_string();
        self.daemons.push(self.daemon("/usr/bin/patroni", vec![&configuration]));
    }

    fn daemon(&self, program: &str, args: Vec<&str>) -> Child {
        let log = || std::fs::File::options().create(true).append(true).open(self.folder.join("log")).expect("a log");
        let mut command = as_owner(program);
        command.args(args).current_dir("/").env("HOME", &self.folder);
        command.stdin(Stdio::null()).stdout(log()).stderr(log()).spawn().expect("a daemon")
    }

    fn kill_daemons(&mut self) {
        for mut daemon in self.daemons.drain(..) {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }

    /// Whether Patroni says that this member is the primary. Not if it does not answer.
    fn is_primary(&self) -> bool {
        Self::answer_of(self.rest, "OPTIONS /primary").is_some_and(|answer| answer.contains(" 200 "))
    }

    /// The answer on a port of this machine, if it comes soon.
    fn answer_of(port: u16, request: &str) -> Option<String> {
        let ask = || {
            // A suspended process accepts only a few connections, and then a new one would wait for minutes.
            let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            write!(stream, "{request} HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            std::io::Result::Ok(answer)
        };
        ask().ok()
    }

    fn daemon_processes(&self) -> Vec<String> {
        self.daemons.iter().map(|daemon| daemon.id().to_string()).collect()
    }

    /// The process ids of the postmaster and its children, if it runs.
    fn postgres_processes(&self) -> Vec<String> {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap_or_default();
        let Some(postmaster) = file.lines().next().map(str::to_owned) else { return Vec::new() };
        // A number in a file that was left over may belong to another process.
        let command = std::fs::read_to_string(format!("/proc/{postmaster}/cmdline")).unwrap_or_default();
        if !command.contains(&self.folder.display().to_string()) {
            return Vec::new();
        }
        let out = Command::new("ps").args(["-o", "pid=", "--ppid", &postmaster]).output().expect("ps");
        let children = String::from_utf8(out.stdout).unwrap();
        [&*postmaster].into_iter().chain(children.split_whitespace()).map(str::to_owned).collect()
    }
}

/// Suspended processes.
pub struct Frozen(Vec<String>);

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("-CONT", &self.0);
    }
}

/// PostgreSQL refuses to run as root.
fn as_owner(program: &str) -> Command {
    if !rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", program]);
    command
}

fn give(folder: &Path) {
    if rustix::process::getuid().is_root() {
        let given = Command::new("chown").args(["-R", "postgres"]).arg(folder).status().expect("chown");
        assert!(given.success());
    }
}

/// Where Debian keeps the programs of the newest PostgreSQL.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL").map(|entry| entry.unwrap().path());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    versions.max_by_key(number).expect("a version").join("bin")
}

fn signal(name: &str, processes: &[String]) {
    if !processes.is_empty() {
        // Some may have ended meanwhile.
        let _ = Command::new("kill").arg(name).args(processes).stderr(Stdio::null()).status();
    }
}
