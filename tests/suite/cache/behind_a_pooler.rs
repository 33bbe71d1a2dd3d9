//! Two nodes behind PgBouncer in session mode: the cache works, and no end is missed whatever happens to PgBouncer.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    KIM,
    ends::{MORE, pause, rounds, served},
    has_lease, metric,
    readers::{watch_ends, watch_ends_around},
};
use crate::{
    process::pooler::{Pooler, Trouble, name_of, through},
    support::{Engine, Server, TestDb, add_user, run},
};

/// Two nodes whose requests go through PgBouncer. The listeners go past it if `past` is set.
async fn nodes(db: &TestDb, pooled: &TestDb, past: bool) -> [Server; 2] {
    let own = [("SESSILE_LISTEN_DATABASE_URL", db.url())];
    let more = [MORE, if past { &own[..] } else { &[] }].concat();
    let nodes = [(); 2].map(|()| Server::start(pooled, &more));
    for node in &nodes {
        has_lease(node).await;
    }
    nodes
}

async fn ends_are_honoured(db: TestDb, past: bool, name: &str) {
    add_user(&db, KIM, "owner");
    let mut pooler = Pooler::start(&db, "session");
    pooler.wait_until_ready();
    let pooled = through(&db, &pooler);
    let nodes = nodes(&db, &pooled, past).await;
    let watched = watch_ends(&served(&nodes), rounds());
    watched.check(&format!("PgBouncer, {name}"));
    for node in &nodes {
        assert!(metric(node, "sessile_session_cache_hits_total") > 0.0, "nothing was answered from memory");
    }
    let database = name_of(&db);
    let over = AtomicBool::new(false);
    let watched = std::thread::scope(|scope| {
        scope.spawn(|| {
            for trouble in Trouble::ALL {
                pause(700);
                trouble.happen(&mut pooler, &database, || pause(700));
            }
            over.store(true, Ordering::Relaxed);
        });
        watch_ends_around(&served(&nodes), rounds(), &over)
    });
    watched.check(&format!("PgBouncer in trouble, {name}"));
    for node in &nodes {
        has_lease(node).await;
    }
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn no_end_is_missed_behind_pgbouncer_with_listeners_past_it() {
    run(Engine::Postgres, async |db: TestDb| ends_are_honoured(db, true, "listeners past it").await);
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn no_end_is_missed_behind_pgbouncer_with_listeners_through_it() {
    run(Engine::Postgres, async |db: TestDb| ends_are_honoured(db, false, "listeners through it").await);
}
