//! A network that floods the server with passwords does not keep others from signing in.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{FROM, KIM, WRONG, count, try_from};
use crate::support::{PASSWORD, Server, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_flood_from_one_network_keeps_no_others_out,
}

/// More than the places in one thread's queue.
const CONNECTIONS: usize = 40;

async fn a_flood_from_one_network_keeps_no_others_out(db: TestDb) {
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[("SESSILE_TRUSTED_PROXIES", "127.0.0.0/8"), ("SESSILE_WORKERS", "1")]);
    let stop = AtomicBool::new(false);
    let mut answers = Vec::new();
    std::thread::scope(|scope| {
        for n in 0..CONNECTIONS {
            let (mut client, stop) = (server.client(), &stop);
            scope.spawn(move || {
                let mut times = 0;
                while !stop.load(Ordering::Relaxed) {
                    let answer = try_from(&mut client, FROM, &format!("nobody{n}.{times}@example.com"), WRONG);
                    assert!(matches!(answer.status, 401 | 429 | 503), "{answer:?}");
                    times += 1;
                }
            });
        }
        while count(&db, "throttle_counts") == 0 {
            std::thread::yield_now();
        }
        for _ in 0..5 {
            answers.push(try_from(&mut server.client(), "192.0.2.77", KIM, PASSWORD).status);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(answers, [200; 5]);
}
