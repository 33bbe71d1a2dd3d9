//! The network to PostgreSQL slows down, breaks connections in the middle of an answer, or stops.

use std::time::Duration;

use super::{
    MORE, Storm,
    proxy::{Proxy, Weather},
    rounds, serves_again,
};
use crate::support::{Engine, Server, TestDb};

const SHORT: [(&str, &str); 2] = [("SESSILE_STATEMENT_TIMEOUT", "1s"), ("SESSILE_POOL_TIMEOUT", "1s")];

/// A database that is reached through a proxy.
fn behind_a_proxy() -> (Proxy, TestDb) {
    let mut db = TestDb::new(Engine::Postgres);
    let (front, name) = db.url().rsplit_once('/').expect("a database");
    let (front, port) = front.rsplit_once(':').expect("a port");
    let proxy = Proxy::to(port.parse().expect("a port"));
    db.lead_to(format!("{front}:{}/{name}", proxy.port));
    (proxy, db)
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn connections_broken_within_an_answer_lose_nothing() {
    let (proxy, db) = behind_a_proxy();
    let storm = Storm::new(&db, 12);
    let server = Server::start(&db, &MORE);
    storm.during(&server.client(), |log| {
        log.wait_for_changes(10);
        for one_in in [7, 11, 5].repeat(rounds(1, 10)) {
            proxy.set(Weather::Cuts(one_in));
            log.wait_for_away(10);
            log.wait_for_success(10);
        }
        proxy.set(Weather::Fair);
        serves_again("cut answers", log, log.now());
        log.wait_for_changes(10);
    });
    storm.check("cut answers", &db, &server);
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_slow_or_stopped_network_ends_no_session() {
    let (proxy, db) = behind_a_proxy();
    let storm = Storm::new(&db, 12);
    let server = Server::start(&db, &[&MORE[..], &SHORT].concat());
    storm.during(&server.client(), |log| {
        log.wait_for_changes(10);
        proxy.set(Weather::Slow(Duration::from_millis(30)));
        log.wait_for_changes(10);
        for _ in 0..rounds(1, 5) {
            for (name, weather) in [
                ("a slow network", Weather::Slow(Duration::from_millis(1500))),
                ("a network that stands still", Weather::Still),
            ] {
                proxy.set(weather);
                log.wait_for_away(30);
                proxy.set(Weather::Fair);
                serves_again(name, log, log.now());
                log.wait_for_changes(5);
            }
            proxy.set(Weather::Still);
            log.wait_for_away(30);
            proxy.reset_all();
            proxy.set(Weather::Fair);
            serves_again("a network that has forgotten every connection", log, log.now());
        }
        log.wait_for_changes(10);
    });
    storm.check("slow and still networks", &db, &server);
}
