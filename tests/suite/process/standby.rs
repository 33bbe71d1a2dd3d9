//! A PostgreSQL standby is never used, because it may lack acknowledged changes. A commit that may not have reached a
//! synchronous standby is not acknowledged.

use serde_json::{Value, json};

use super::{KIM, ask, assert_ended, assert_unavailable, cluster::Cluster, faults::proxy::Proxy};
use crate::support::{Client, Engine, PASSWORD, Server, TestDb, add_user, eventually};

/// A primary, a standby that will fall behind, and a database behind a proxy that leads to the primary.
fn behind_an_address() -> (Cluster, Cluster, Proxy, TestDb) {
    let (primary, _) = Cluster::start();
    let (standby, _) = primary.standby();
    let proxy = Proxy::to(primary.port());
    let db = TestDb::in_own_postgres(format!("postgres://postgres@127.0.0.1:{}/postgres", proxy.port));
    (primary, standby, proxy, db)
}

/// Waits until the standby has replayed everything that the primary has now.
async fn caught_up(primary: &Cluster, standby: &Cluster) {
    let at = primary.sql("SELECT pg_current_wal_lsn()");
    let replayed = format!("SELECT coalesce(pg_last_wal_replay_lsn() >= '{at}', false)");
    eventually("the standby catches up", async || standby.sql(&replayed) == "t").await;
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn an_ended_session_is_not_read_from_a_standby() {
    actix_web::rt::System::new().block_on(async {
        let (primary, standby, proxy, db) = behind_an_address();
        add_user(&db, KIM, "owner");
        let server = Server::start(&db, &[]);
        let mut client = server.client();
        client.log_in(KIM);
        let mut ended = client.clone();
        caught_up(&primary, &standby).await;
        standby.sql("SELECT pg_wal_replay_pause()");
        assert_eq!(client.json("DELETE", "/api/session", &Value::Null).status, 204);
        let lives = "SELECT count(*) FROM sessions WHERE ended_at IS NULL";
        assert_eq!((standby.sql(lives).as_str(), primary.sql(lives).as_str()), ("1", "0"));

        primary.kill();
        proxy.turn_to(standby.port());
        for path in ["/api/session", "/dashboard", "/api/session/data", "/login"].repeat(5) {
            assert_unavailable(&ended.get(path));
        }
        assert_eq!(ended.get("/readyz").status, 503);
        let commands: [&[&str]; 4] = [&["user", "list"], &["session", "list"], &["migrate"], &["prune"]];
        for args in commands {
            ask(&db, args, "").refused(&["DATABASE_URL", "standby"]);
        }
        let doctor = ask(&db, &["doctor"], "");
        assert!(doctor.code == Some(1) && doctor.stdout.contains("FAIL database: "), "{doctor:?}");
        assert!(doctor.stdout.contains("standby"), "{doctor:?}");

        standby.sql("SELECT pg_wal_replay_resume()");
        standby.promote();
        eventually("the server serves again", async || ended.get("/api/session").status != 503).await;
    });
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn the_primary_is_found_wherever_it_stands_in_the_url() {
    let (primary, alone) = Cluster::start();
    let (standby, _) = primary.standby();
    for attrs in ["", "?target_session_attrs=any", "?target_session_attrs=primary", "?target_session_attrs=read-write"]
    {
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", standby.port(), primary.port());
        let db = TestDb::in_own_postgres(format!("postgres://postgres@{hosts}/postgres{attrs}"));
        alone.keys();
        std::fs::copy(alone.key_file(), db.key_file()).unwrap();
        assert_eq!(ask(&db, &["migrate"], "").said(), "");
        let doctor = ask(&db, &["doctor"], "");
        assert_eq!(doctor.code, Some(0), "{doctor:?}");
    }
}

/// An operator or a tool has promoted the standby while the old primary still runs.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_primary_that_was_replaced_is_not_read_again() {
    actix_web::rt::System::new().block_on(async {
        let (primary, _) = Cluster::start();
        let (standby, _) = primary.standby();
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", standby.port(), primary.port());
        let db = TestDb::in_own_postgres(format!("postgres://postgres@{hosts}/postgres"));
        add_user(&db, KIM, "owner");
        let server = Server::start(&db, &[("SESSILE_SESSION_CACHE", "off"), ("SESSILE_STATEMENT_TIMEOUT", "1s")]);
        let mut client = server.client();
        client.log_in(KIM);
        let mut ended = client.clone();
        let statuses = |client: &Client| -> Vec<u16> {
            std::thread::scope(|scope| {
                let asking: Vec<_> = (0..12)
                    .map(|_| {
                        let mut client = client.clone();
                        scope.spawn(move || (0..5).map(|_| client.get("/api/session").status).collect::<Vec<_>>())
                    })
                    .collect();
                asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect()
            })
        };
        // The pool now has several connections to the primary.
        assert_eq!(statuses(&client), [200; 60]);
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
        primary.sql("SELECT pg_reload_conf()");
        caught_up(&primary, &standby).await;
        standby.promote();
        eventually("an end on the new primary", async || {
            client.json("DELETE", "/api/session", &Value::Null).status == 204
        })
        .await;
        let lives = "SELECT count(*) FROM sessions WHERE ended_at IS NULL";
        assert_eq!((standby.sql(lives).as_str(), primary.sql(lives).as_str()), ("0", "1"));
        assert_eq!(statuses(&ended), [401; 60]);
        assert_ended(&ended.get("/api/session"), "logged-out");

        // No other server is left, and the former primary is not used in its place.
        standby.kill();
        eventually("the loss of the new primary", async || ended.get("/api/session").status == 503).await;
        assert!(statuses(&ended).iter().all(|status| *status == 503));
        assert_eq!(ended.get("/readyz").status, 503);
    });
}

/// PostgreSQL reports such a commit as successful, with only a warning.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_commit_without_its_standby_is_not_acknowledged() {
    actix_web::rt::System::new().block_on(async {
        let (primary, db) = Cluster::start();
        add_user(&db, KIM, "owner");
        // Settings of the role or the URL must not turn off the wait or its warning.
        primary.sql("ALTER ROLE postgres SET client_min_messages = error");
        primary.sql("ALTER ROLE postgres SET synchronous_commit = local");
        let url = format!("{}?options=-c%20client_min_messages%3Derror", db.url());
        let more =
            [("SESSILE_STATEMENT_TIMEOUT", "60s"), ("SESSILE_POOL_TIMEOUT", "30s"), ("DATABASE_URL", url.as_str())];
        let server = Server::start(&db, &more);
        let mut client = server.client();
        client.log_in(KIM);
        let data = json!({"n": 1});
        assert_eq!(client.json("PATCH", "/api/session/data", &data).status, 200);
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        primary.sql("SELECT pg_reload_conf()");
        let waits = |n: u64| {
            let mut client: Client = client.clone();
            std::thread::spawn(move || client.json("PATCH", "/api/session/data", &json!({"n": n})))
        };
        let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        for n in 2..4 {
            let waiting = waits(n);
            eventually("an answer", async || {
                primary.sql(cancel);
                waiting.is_finished()
            })
            .await;
            assert_unavailable(&waiting.join().unwrap());
        }
        assert!(server.log().contains("standby was cancelled"), "{}", server.log());

        primary.sql("ALTER SYSTEM RESET synchronous_standby_names");
        primary.sql("SELECT pg_reload_conf()");
        eventually("changes succeed again", async || waits(9).join().unwrap().status == 200).await;
        let mut again = client.clone();
        assert_eq!(client.json("DELETE", "/api/session", &Value::Null).status, 204);
        assert_ended(&again.get("/api/session"), "logged-out");
    });
}

/// With foreign keys disabled, PostgreSQL would not update a session's former keys when it gets a new key.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn foreign_keys_are_enforced_whatever_the_url_says() {
    let db = TestDb::new(Engine::Postgres);
    add_user(&db, KIM, "owner");
    let sign = if db.url().contains('?') { '&' } else { '?' };
    let url = format!("{}{sign}options=-c%20session_replication_role%3Dreplica", db.url());
    let server = Server::start(&db, &[("DATABASE_URL", &url)]);
    let mut client = server.client();
    client.log_in(KIM);
    let mut first = client.clone();
    for _ in 0..2 {
        let csrf = client.form_token("/confirm");
        assert_eq!(client.form("/confirm", &[("csrf", &csrf), ("password", PASSWORD)]).status, 303);
        assert_eq!(client.get("/api/session").status, 200);
    }
    assert_eq!(first.json("DELETE", "/api/session", &Value::Null).status, 204);
    assert_ended(&client.get("/api/session"), "logged-out");
}
