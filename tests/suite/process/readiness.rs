//! Readiness while the database is unavailable: a 503 in time, then a 200 again without a restart. Metrics stay
//! available.

use std::time::{Duration, Instant};

use super::{KIM, cluster::Cluster};
use crate::support::{Answer, Server, add_user, eventually};

/// The longest wait of a request with the default settings, with a margin for a busy machine.
const BOUND: Duration = Duration::from_secs(7);

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn readiness_follows_the_database_away_and_back_and_never_hangs() {
    actix_web::rt::System::new().block_on(async {
        let (cluster, db) = Cluster::start();
        add_user(&db, KIM, "owner");
        let server = Server::start(&db, &[]);
        server.client().log_in(KIM);
        assert_eq!(server.client().get("/readyz").status, 200);

        cluster.stop();
        assert_not_ready_in_time(&server).await;
        cluster.start_again();
        let back = Instant::now();
        eventually("readiness", async || server.client().get("/readyz").status == 200).await;
        println!("ready {:?} after the database was back", back.elapsed());
        assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());

        let frozen = cluster.freeze();
        assert_not_ready_in_time(&server).await;
        drop(frozen);
        eventually("readiness", async || server.client().get("/readyz").status == 200).await;
    });
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_node_without_its_database_is_not_ready() {
    actix_web::rt::System::new().block_on(async {
        let (cluster, db) = Cluster::start();
        cluster.stop();
        let server = Server::start(&db, &[]);
        assert_not_ready_in_time(&server).await;
        cluster.start_again();
        eventually("readiness", async || server.client().get("/readyz").status == 200).await;
        assert_eq!(server.client().get("/login").status, 200);
    });
}

async fn assert_not_ready_in_time(server: &Server) {
    eventually("503", async || {
        let asked = Instant::now();
        let answer = server.client().get("/readyz");
        assert!(asked.elapsed() < BOUND, "{:?}: {answer:?}", asked.elapsed());
        answer.status == 503
    })
    .await;
    let asked = Instant::now();
    let answer = server.client().get("/readyz");
    println!("503 in {:?}", asked.elapsed());
    assert!(asked.elapsed() < BOUND);
    assert_eq!((answer.status, answer.header("content-type")), (503, Some("application/json")), "{answer:?}");
    assert_eq!(
        (status_of(&answer, "databasePool"), status_of(&answer, "pwa")),
        ("down".into(), "ok".into()),
        "{answer:?}"
    );
    let asked = Instant::now();
    let metrics = server.client().get("/metrics");
    assert_eq!(metrics.status, 200);
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert!(metrics.body.contains("sessile_database_faults_total"), "{metrics:?}");
}

fn status_of(answer: &Answer, component: &str) -> String {
    answer.json()["components"][component]["status"].as_str().unwrap_or_default().to_owned()
}
