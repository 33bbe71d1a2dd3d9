//! A primary fails and its standby takes over. Replication is synchronous, so every acknowledged commit is on both.

use super::{Asked, MORE, Said, Storm, rounds, serves_again};
use crate::{
    process::cluster::Cluster,
    support::{Server, TestDb, eventually},
};

/// A primary, its standby, and the URL that names both.
struct Pair {
    primary: Cluster,
    standby: Cluster,
    db: TestDb,
}

impl Pair {
    fn start() -> Self {
        let (primary, alone) = Cluster::start();
        let (standby, url) = primary.standby();
        let place = |url: &str| url.split(['@', '/']).nth(3).expect("a host").to_owned();
        let hosts = format!("{},{}", place(alone.url()), place(&url));
        let db =
            TestDb::in_own_postgres(format!("postgres://postgres@{hosts}/postgres?target_session_attrs=read-write"));
        wait_for_each_other(&primary);
        Self { primary, standby, db }
    }
}

/// Makes each commit wait for the standby from now on.
fn wait_for_each_other(primary: &Cluster) {
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.sql("SELECT pg_reload_conf()");
    let synchronous = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    actix_web::rt::System::new()
        .block_on(eventually("a synchronous standby", async || primary.sql(synchronous) == "1"));
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_failover_loses_nothing_and_ends_5_s_after_promotion() {
    let mut pair = Pair::start();
    let storm = Storm::new(&pair.db, 12);
    let server = Server::start(&pair.db, &MORE);
    storm.during(&server.client(), |log| {
        for _ in 0..rounds(1, 4) {
            log.wait_for_changes(20);
            pair.primary.kill();
            log.wait_for_away(40);
            pair.standby.promote();
            serves_again("failover", log, log.now());
            // The old primary returns as a standby of the new one, at an address in the URL.
            pair.primary.follow(&pair.standby);
            wait_for_each_other(&pair.standby);
            std::mem::swap(&mut pair.primary, &mut pair.standby);
        }
        log.wait_for_changes(20);
    });
    storm.check("failover", &pair.db, &server);
}

/// The machine of the primary hangs: it accepts connections and never answers, until it is switched off.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_hanging_primary_does_not_delay_the_failover() {
    let pair = Pair::start();
    let storm = Storm::new(&pair.db, 8);
    let server = Server::start(&pair.db, &MORE);
    storm.during(&server.client(), |log| {
        log.wait_for_changes(10);
        let frozen = pair.primary.freeze();
        log.wait_for_away(20);
        pair.standby.promote();
        serves_again("failover from a primary that hangs", log, log.now());
        log.wait_for_changes(10);
        pair.primary.kill();
        drop(frozen);
        log.wait_for_changes(10);
    });
    storm.check("failover from a primary that hangs", &pair.db, &server);
}

/// As when an address moves to the standby before its promotion.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_standby_is_unused_until_promoted_then_works_in_5_s() {
    let pair = Pair::start();
    let port = |cluster: &Cluster| cluster.port();
    let proxy = super::proxy::Proxy::to(port(&pair.primary));
    let db = TestDb::in_own_postgres(format!("postgres://postgres@127.0.0.1:{}/postgres", proxy.port));
    let storm = Storm::new(&db, 8);
    let server = Server::start(&db, &MORE);
    storm.during(&server.client(), |log| {
        log.wait_for_changes(10);
        pair.primary.kill();
        proxy.turn_to(port(&pair.standby));
        log.wait_for_away(20);
        let gone = log.now();
        log.wait_for_away(40);
        let before = log.now();
        for entry in log.entries().iter().filter(|entry| entry.started > gone && entry.ended < before) {
            assert!(entry.asked == Asked::Health || !entry.is_success(), "answered from a standby: {entry:?}");
        }
        pair.standby.promote();
        serves_again("promotion of where the address points", log, log.now());
        log.wait_for_changes(10);
    });
    storm.check("promotion of where the address points", &db, &server);
}

/// A commit waits for an unavailable standby, and no server timeout limits the wait.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn commits_that_wait_for_a_standby_are_cut_and_reads_go_on() {
    let pair = Pair::start();
    let storm = Storm::new(&pair.db, 24);
    let more = [MORE[0], MORE[1], MORE[2], ("SESSILE_STATEMENT_TIMEOUT", "1s"), ("SESSILE_POOL_TIMEOUT", "1s")];
    let server = Server::start(&pair.db, &more);
    let backends = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sessile'";
    storm.during(&server.client(), |log| {
        log.wait_for_changes(20);
        pair.standby.stop();
        let away = log.now();
        for _ in 0..rounds(1, 10) {
            log.wait_for_away(60);
        }
        log.wait_for_success(50);
        let few = || pair.primary.sql(backends).parse::<u32>().unwrap() <= 10;
        // A connection that was just closed may still be listed, but a waiting connection would stay.
        actix_web::rt::System::new().block_on(eventually("no more connections than the pool has", async || few()));
        let written = log.entries().into_iter().filter(|entry| entry.started > away && entry.is_written()).count();
        // A commit that was on its way may have reached the standby.
        assert!(written <= 24, "{written} changes were acknowledged without the standby");
        let back = log.now();
        for entry in log.entries().iter().filter(|entry| entry.started > away && entry.ended < back) {
            let read = matches!(entry.asked, Asked::Look | Asked::Data);
            assert!(!read || entry.said != Said::Away, "a read had to wait for a commit: {entry:?}");
        }
        pair.standby.start_again();
        serves_again("standby back", log, log.now());
        log.wait_for_changes(10);
    });
    storm.check("standby away", &pair.db, &server);
}
