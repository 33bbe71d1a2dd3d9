//! Failover without hands: Patroni and etcd run three members of PostgreSQL, and HAProxy stands in front of two nodes of
//! Sessile, all with the files in `ops/patroni`. The primary fails again and again under load.
//!
//! Only with `SESSILE_TEST_LONG`. `--nocapture` prints the table of docs/scaling.md.

mod front;
mod members;

use std::time::Duration;

use self::{front::Haproxy, members::Members};
use super::{
    faults::{Entry, Log, MORE, Storm},
    is_long, lasting_port,
};
use crate::support::{Client, Server, TestDb, eventually};

/// How often each fault happens.
const ROUNDS: usize = 3;
/// `ttl` of `ops/patroni/patroni.yml`, and time for a standby that has to be copied anew on a busy machine.
const AGAIN: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The machine of the primary fails.
    Killed,
    /// It hangs, and goes on when another member is the primary.
    Frozen,
    /// It is cut off from the other members and from etcd, but not from Sessile.
    CutOff,
    /// Patroni and etcd are killed, and PostgreSQL goes on.
    PatroniKilled,
    /// Patroni and etcd hang, and PostgreSQL goes on.
    PatroniFrozen,
    /// The machine of the standby fails whose confirmations commits wait for.
    StandbyKilled,
}

impl Fault {
    fn words(self) -> &'static str {
        match self {
            Self::Killed => "primary killed",
            Self::Frozen => "primary frozen, later continued",
            Self::CutOff => "primary cut off from etcd and the standbys",
            Self::PatroniKilled => "Patroni of the primary killed",
            Self::PatroniFrozen => "Patroni of the primary frozen",
            Self::StandbyKilled => "synchronous standby killed",
        }
    }

    /// Lets it happen, waits until Sessile can work again, and repairs it.
    fn happen(self, members: &mut Members, log: &Log) {
        let whom = match self {
            Self::StandbyKilled => members.synchronous(),
            _ => members.primary(),
        };
        let n = whom.expect("a member");
        let frozen = match self {
            Self::Killed | Self::StandbyKilled => {
                members.kill(n);
                None
            }
            Self::Frozen => Some(members.freeze(n)),
            Self::CutOff => {
                members.cut_off(n);
                None
            }
            Self::PatroniKilled => {
                members.kill_patroni(n);
                None
            }
            Self::PatroniFrozen => Some(members.freeze_patroni(n)),
        };
        if self != Self::StandbyKilled {
            members.wait_for_successor(n);
        }
        members.wait_for_another_synchronous(n);
        log.wait_for_changes(20);
        match self {
            Self::Frozen | Self::PatroniFrozen => drop(frozen),
            Self::CutOff => members.reconnect(n),
            Self::Killed | Self::PatroniKilled | Self::StandbyKilled => members.start_again(n),
        }
        members.wait_until_whole();
        log.wait_for_changes(20);
    }
}

/// Sessile's own choice among the hosts in its URL works if the whole machine fails.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn patroni_replaces_a_primary_and_sessile_finds_it_by_its_url() {
    let Some(mut members) = members() else { return };
    let url = members.url();
    let faults = [Fault::CutOff, Fault::Killed, Fault::Frozen];
    fail_over("all hosts in the URL", &mut members, [&url, &url], &faults);
}

/// HAProxy also leaves a primary whose Patroni does not work any more.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn patroni_replaces_a_primary_and_haproxy_leads_to_it() {
    let Some(mut members) = members() else { return };
    let beside = [Haproxy::to_primary(&members.ports()), Haproxy::to_primary(&members.ports())];
    let urls = beside.each_ref().map(|one| format!("postgres://sessile:CHANGE-SESSILE@127.0.0.1:{}/sessile", one.port));
    let faults =
        [Fault::CutOff, Fault::PatroniKilled, Fault::PatroniFrozen, Fault::StandbyKilled, Fault::Killed, Fault::Frozen];
    fail_over("HAProxy beside each node", &mut members, [&urls[0], &urls[1]], &faults);
}

fn members() -> Option<Members> {
    if !is_long() {
        return None;
    }
    let missing = members::missing();
    if missing.is_empty() {
        return Some(Members::start());
    }
    println!("NOT CHECKED: not installed: {}", missing.join(", "));
    None
}

/// Runs two nodes with these URLs, and lets each fault happen under load.
fn fail_over(way: &str, members: &mut Members, urls: [&str; 2], faults: &[Fault]) {
    let db = TestDb::in_own_postgres(members.url());
    let mut storm = Storm::new(&db, 4);
    let front = lasting_port();
    let public = format!("http://localhost:{front}");
    let more = |url| {
        let own =
            [("SESSILE_PUBLIC_URL", &*public), ("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32"), ("DATABASE_URL", url)];
        [&MORE[..], &own].concat()
    };
    let nodes = urls.map(|url| Server::start(&db, &more(url)));
    let _haproxy = Haproxy::to_nodes([nodes[0].port, nodes[1].port], front);
    let client = Client::new(&format!("http://127.0.0.1:{front}"), &public);
    wait_until_ready(&client);
    println!("\n| {way} | rounds | no answer for (median, longest) | no change for (median, longest) |");
    println!("| --- | --- | --- | --- |");
    let mut lines = String::new();
    for fault in faults {
        let mut outages = Vec::new();
        storm.during(&client, |log| {
            for _ in 0..ROUNDS {
                log.wait_for_changes(20);
                let struck = log.now();
                fault.happen(members, log);
                let outage = Outage::since(struck, &log.entries());
                println!("{fault:?}: no answer for {:?}, no change for {:?}", outage.answers, outage.changes);
                outages.push(outage);
            }
        });
        storm.check_at(&client, fault.words(), &db, || nodes.each_ref().map(|node| node.log()).join("\n"));
        let line = line(fault.words(), &outages);
        println!("{line}");
        lines += &format!("{line}\n");
        let longest = outages.iter().map(|outage| outage.changes).max().unwrap_or_default();
        assert!(longest < AGAIN, "{way}, {fault:?}: no change for {longest:?}");
        storm = storm.again();
    }
    println!("{way}:\n{lines}");
}

fn wait_until_ready(client: &Client) {
    let mut client = client.clone();
    actix_web::rt::System::new().block_on(eventually("a node behind HAProxy", async || {
        client.try_send("GET", "/api/session", &[], b"").is_ok_and(|answer| answer.status == 401)
    }));
}

/// The longest times in a round without an acknowledged read or change.
struct Outage {
    answers: Duration,
    changes: Duration,
}

impl Outage {
    fn since(struck: Duration, log: &[Entry]) -> Self {
        let longest = |such: fn(&Entry) -> bool| {
            let mut at: Vec<Duration> =
                log.iter().filter(|entry| entry.ended > struck && such(entry)).map(|entry| entry.ended).collect();
            at.sort();
            let before = std::iter::once(&struck).chain(&at);
            before.zip(&at).map(|(before, after)| *after - *before).max().unwrap_or_default()
        };
        Self { answers: longest(Entry::is_success), changes: longest(Entry::is_written) }
    }
}

fn line(fault: &str, outages: &[Outage]) -> String {
    let show = |times: fn(&Outage) -> Duration| {
        let mut times: Vec<f64> = outages.iter().map(|outage| times(outage).as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        format!("{:.1} s, {:.1} s", times[times.len() / 2], times[times.len() - 1])
    };
    let (answers, changes) = (show(|outage| outage.answers), show(|outage| outage.changes));
    format!("| {fault} | {} | {answers} | {changes} |", outages.len())
}
