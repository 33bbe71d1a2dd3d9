//! The program is killed in the middle of logins and logouts and restarted. No acknowledged change is lost, and ended
//! sessions stay ended.

use super::{
    faults::{MORE, Storm, rounds},
    lasting_port,
    psql::Psql,
};
use crate::support::{Engine, Server, TestDb, on_both_engines};

const BROWSERS: u64 = 8;

on_both_engines! {
    acknowledged_changes_survive_kill_9,
}

async fn acknowledged_changes_survive_kill_9(db: TestDb) {
    kills(&db, None);
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn acknowledged_changes_survive_kill_9_and_lost_connections() {
    let db = TestDb::new(Engine::Postgres);
    let cuts = Psql::open(&db);
    kills(&db, Some(cuts));
}

fn kills(db: &TestDb, mut cuts: Option<Psql>) {
    let storm = Storm::new(db, BROWSERS).of_kills();
    let port = lasting_port();
    let mut server = Server::start_on(db, port, &MORE);
    let client = server.client();
    let rounds = rounds(8, 60);
    storm.during(&client, |log| {
        for round in 0..rounds {
            let acknowledged = 3 + round * 29 % 17;
            log.wait_for_changes(acknowledged);
            if let Some(cuts) = &mut cuts {
                cuts.cut_connections();
                log.wait_for_changes(acknowledged);
            }
            server.kill();
            server = Server::start_on(db, port, &MORE);
        }
        log.wait_for_changes(20);
    });
    server.kill();
    server = Server::start_on(db, port, &MORE);
    storm.check(&format!("{rounds} kills"), db, &server);
}
