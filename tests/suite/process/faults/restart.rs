//! PostgreSQL is restarted under load.

use super::{MORE, Storm, rounds, serves_again};
use crate::{process::cluster::Cluster, support::Server};

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_restart_under_load_loses_nothing_and_is_over_within_5_s() {
    let (cluster, db) = Cluster::start();
    let storm = Storm::new(&db, 12);
    let server = Server::start(&db, &MORE);
    storm.during(&server.client(), |log| {
        log.wait_for_changes(10);
        for _ in 0..rounds(1, 10) {
            for mode in ["fast", "immediate"] {
                cluster.stop_as(mode);
                log.wait_for_away(40);
                cluster.start_again();
                serves_again(&format!("restart ({mode})"), log, log.now());
                log.wait_for_changes(10);
            }
        }
    });
    storm.check("restarts", &db, &server);
}
