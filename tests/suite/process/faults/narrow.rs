//! A pool of two connections, and changes that hang on both.

use std::time::Duration;

use super::{Asked, MORE, Said, Storm, rounds, serves_again};
use crate::{
    process::psql::Psql,
    support::{Engine, Server, TestDb},
};

/// The wait for a connection and two statement timeouts, with a margin for a busy machine.
const IN_TIME: Duration = Duration::from_secs(15);

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn reads_go_on_with_a_pool_of_two_while_changes_hang() {
    let db = TestDb::new(Engine::Postgres);
    let storm = Storm::new(&db, 12);
    let server = Server::start(&db, &[MORE[0], MORE[1], MORE[2], ("SESSILE_POOL_MAX", "2")]);
    storm.during(&server.client(), |log| {
        log.wait_for_changes(10);
        let mut other = Psql::open(&db);
        assert_ne!(other.ask("BEGIN; SELECT count(*) FROM (SELECT 1 FROM accounts FOR UPDATE) AS held"), "0");
        let held = log.now();
        for _ in 0..rounds(1, 10) {
            log.wait_for_away(10);
        }
        log.wait_for(50, "reads", |entry| entry.asked == Asked::Look && entry.is_success());
        drop(other);
        let free = log.now();
        serves_again("changes that hang on a pool of two", log, free);
        log.wait_for_changes(10);
        for entry in log.entries().iter().filter(|entry| entry.started > held && entry.ended < free) {
            let read = matches!(entry.asked, Asked::Look | Asked::Data);
            assert!(!read || entry.said != Said::Away, "a read had to wait for changes: {entry:?}");
            assert!(entry.took() < IN_TIME, "{entry:?}");
        }
    });
    storm.check("a pool of two", &db, &server);
}
