//! The time until an end is known, with two nodes on one PostgreSQL behind haproxy. 1,000 ends with
//! `SESSILE_TEST_LONG`.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{AT_ONCE, KIM, SAM, log_out, percentile, signed_in, stream::Stream};
use crate::support::{App, Client, Engine, Served, TestDb, add_user, eventually, run};

/// haproxy in front of two nodes, round robin. Dropping it stops haproxy.
struct Proxy {
    child: Child,
    port: u16,
}

impl Proxy {
    fn start(db: &TestDb, nodes: [&Served; 2]) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let file = db.folder.join("haproxy.cfg");
        let config = format!(
            "defaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n\
             frontend all\n  bind 127.0.0.1:{port}\n  default_backend nodes\n\
             backend nodes\n  balance roundrobin\n  http-response set-header X-Node %s\n  \
             server first 127.0.0.1:{}\n  server second 127.0.0.1:{}\n",
            nodes[0].port, nodes[1].port
        );
        std::fs::write(&file, config).expect("a configuration");
        let mut haproxy = Command::new("haproxy");
        let path = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
        let child =
            haproxy.env("PATH", path).args(["-db", "-f"]).arg(&file).stderr(Stdio::null()).stdout(Stdio::null());
        Self { child: child.spawn().expect("haproxy"), port }
    }

    async fn ready(&self) {
        eventually("haproxy listens", async || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn an_end_on_one_node_reaches_the_other_at_once() {
    run(Engine::Postgres, async |db: TestDb| {
        add_user(&db, KIM, "owner");
        add_user(&db, SAM, "member");
        let more = [("SESSILE_SESSIONS_PER_ACCOUNT", "0")];
        let nodes = [App::start(&db, &more), App::start(&db, &more)];
        let proxy = Proxy::start(&db, [&nodes[0], &nodes[1]]);
        proxy.ready().await;
        let many = if crate::support::is_long() { 1_000 } else { 30 };
        let (mut times, mut elsewhere) = (Vec::new(), 0);
        for n in 0..many {
            let mut client = signed_in(&nodes[n % 2], KIM);
            let stream = Stream::open(proxy.port, &client);
            // Both the ending node and the node that haproxy chose change every other time.
            let (here, there) = (&nodes[n / 2 % 2], &nodes[1 - n / 2 % 2]);
            elsewhere += usize::from(!stream.head.contains(["first", "second"][n / 2 % 2]));
            let before = client.clone();
            client = on(here, client);
            log_out(&mut client);
            let ended = Instant::now();
            let refused = on(there, before).get("/api/session");
            assert_eq!((refused.status, refused.problem().as_str()), (401, "session-ended"));
            times.push(stream.ends("logged-out").at.saturating_duration_since(ended));
        }
        times.sort();
        let max = times[times.len() - 1];
        println!(
            "{many} ends, {elsewhere} with the page on the other node: the page knew after p50 {:?}, p99 {:?}, max {max:?}",
            percentile(&times, 50),
            percentile(&times, 99)
        );
        assert!(elsewhere > many / 4, "{elsewhere}");
        assert!(percentile(&times, 99) < AT_ONCE, "{:?}", percentile(&times, 99));
        assert!(max < Duration::from_secs(5));
    });
}

/// The client, moved to another node.
fn on(node: &Served, client: Client) -> Client {
    let mut there = node.client();
    there.cookies = client.cookies;
    there
}
