//! The database is unavailable, at the start or later: requests get a 503, no cookie is removed, and the server
//! recovers without a restart.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{KIM, assert_ended, assert_unavailable, cluster::Cluster, psql::Psql};
use crate::support::{Answer, Client, Engine, PASSWORD, Server, TestDb, add_user, eventually, run};

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_node_starts_without_its_database_and_recovers() {
    actix_web::rt::System::new().block_on(async {
        let (cluster, db) = Cluster::start();
        cluster.stop();
        let server = Server::start(&db, &[]);
        let mut client = server.client();
        client.cookies.insert("aiq_session".to_owned(), "something".to_owned());
        assert_eq!(client.get("/healthz").status, 200);
        for page in ["/", "/login", "/dashboard", "/setup", "/api/session", "/api/session/data", "/nowhere"] {
            assert_unavailable(&client.get(page));
        }
        assert_unavailable(&client.try_log_in(KIM, PASSWORD));
        assert_unavailable(&client.form("/login", &[("email", KIM), ("password", PASSWORD)]));
        assert_eq!(client.cookies["aiq_session"], "something");

        cluster.start_again();
        assert!(server.line().starts_with("sessile: create the owner at http://localhost:"));
        add_user(&db, KIM, "owner");
        client.cookies.clear();
        client.log_in(KIM);
        assert_eq!(client.get("/api/session").status, 200);
        assert_eq!(server.terminate(), Some(0));
    });
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn an_outage_of_the_database_is_no_logout() {
    actix_web::rt::System::new().block_on(async {
        let (cluster, db) = Cluster::start();
        let (_server, mut client) = signed_in(&db);
        for _ in 0..2 {
            let jar = client.cookies.clone();
            let csrf = client.form_token("/dashboard");
            cluster.stop();
            assert_every_answer_is_unavailable(&mut client, &csrf);
            assert_eq!(client.get("/healthz").status, 200);
            assert_eq!(client.cookies["aiq_session"], jar["aiq_session"]);
            cluster.start_again();
            let before = std::time::Instant::now();
            eventually("the same cookie", async || client.get("/api/session").status == 200).await;
            assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
            assert_eq!(client.json("PATCH", "/api/session/data", &json!({"n": 1})).status, 200);
        }
        let mut old = client.clone();
        assert_eq!(client.json("DELETE", "/api/session", &Value::Null).status, 204);
        assert_ended(&old.get("/api/session"), "logged-out");
    });
}

/// A served program and a client that is signed in as the owner.
fn signed_in(db: &TestDb) -> (Server, Client) {
    add_user(db, KIM, "owner");
    let server = Server::start(db, &[]);
    let mut client = server.client();
    client.log_in(KIM);
    (server, client)
}

fn assert_every_answer_is_unavailable(client: &mut Client, csrf: &str) {
    for page in ["/api/session", "/api/session/data", "/dashboard", "/", "/login"] {
        assert_unavailable(&client.get(page));
    }
    assert_unavailable(&client.try_log_in(KIM, PASSWORD));
    assert_unavailable(&client.json("PATCH", "/api/session/data", &json!({"n": 1})));
    assert_unavailable(&client.json("DELETE", "/api/session", &Value::Null));
    assert_unavailable(&client.form("/logout", &[("csrf", csrf)]));
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_draft_sent_during_an_outage_can_be_sent_again() {
    actix_web::rt::System::new().block_on(async {
        let (cluster, db) = Cluster::start();
        let (_server, mut client) = signed_in(&db);
        let csrf = client.form_token("/drafts?draft=new");
        let operation = "0195c0de-0000-4000-8000-000000000001";
        let draft = [
            ("csrf", csrf.as_str()),
            ("operation", operation),
            ("draft", "tide"),
            ("base", "0"),
            ("text", "Boots at six"),
        ];
        cluster.stop();
        let away = client.form("/drafts", &draft);
        assert_unavailable(&away);
        assert!(away.body.contains(">\nBoots at six</textarea>") && away.body.contains("Send again"), "{}", away.body);
        let name = client.form("/account", &[("csrf", csrf.as_str()), ("name", "Kim of the Tides")]);
        assert_unavailable(&name);
        assert!(name.body.contains("value=\"Kim of the Tides\"") && !name.body.contains("password"), "{}", name.body);
        cluster.start_again();
        eventually("the same session", async || client.get("/api/session").status == 200).await;
        assert_eq!(away.form_token(), csrf, "the form keeps its token");
        assert_eq!(client.form("/drafts", &draft).header("location"), Some("/drafts?draft=tide&done=saved"));
        assert!(client.get("/drafts?draft=tide").body.contains("Boots at six"));
    });
}

/// As after a failover, when the old primary has become a standby.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_read_only_database_makes_writes_unavailable() {
    run(Engine::Postgres, async |db: TestDb| {
        let (server, mut client) = signed_in(&db);
        let name = db.url().rsplit('/').next().unwrap();
        db.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
        Psql::open(&db).cut_connections();
        for _ in 0..3 {
            assert_eq!(client.get("/api/session").status, 200, "reads still work");
            assert_unavailable(&client.json("PATCH", "/api/session/data", &json!({"n": 1})));
            assert_unavailable(&client.json("DELETE", "/api/session", &Value::Null));
            assert_unavailable(&server.client().try_log_in(KIM, PASSWORD));
        }
        let csrf = client.form_token("/account");
        let renamed = client.form("/account", &[("csrf", &csrf), ("name", "Kim of the Tides")]);
        assert_unavailable(&renamed);
        assert!(renamed.body.contains("value=\"Kim of the Tides\""), "{}", renamed.body);
        assert!(renamed.body.contains("Nothing is lost: try again shortly."), "no password was sent: {}", renamed.body);
        let late = Server::start(&db, &[]);
        assert_unavailable(&late.client().get("/login"));

        db.sql(&format!(
            "SET default_transaction_read_only = off; ALTER DATABASE {name} RESET default_transaction_read_only"
        ));
        let mut n = 1;
        let mut change = || {
            n += 1;
            client.json("PATCH", "/api/session/data", &json!({"n": n})).status == 200
        };
        eventually("writing", async || (0..12).all(|_| change())).await;
        eventually("the late node", async || late.client().get("/login").status == 200).await;
        assert_eq!(late.client().log_in(KIM).status, 200);
    });
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn reads_survive_the_loss_of_every_connection() {
    run(Engine::Postgres, async |db: TestDb| {
        add_user(&db, KIM, "owner");
        // A read from memory would need no connection, so there could be none to cut.
        let server = Server::start(&db, &[("SESSILE_SESSION_CACHE", "off")]);
        let mut clients: Vec<Client> = (0..6).map(|_| server.client()).collect();
        for client in &mut clients {
            client.log_in(KIM);
        }
        let mut other = Psql::open(&db);
        for _ in 0..50 {
            // Read in parallel, so that the pool has several connections and all of them are cut.
            read_at_once(&mut clients, &server);
            assert!(other.cut_connections() > 0);
            read_at_once(&mut clients, &server);
        }
        for _ in 0..50 {
            assert!(other.cut_connections() > 0);
            let page = clients[0].get("/dashboard");
            assert_eq!(page.status, 200, "{page:?}; the log is:\n{}", server.log());
        }
    });
}

fn read_at_once(clients: &mut [Client], server: &Server) {
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let reading: Vec<_> = clients.iter_mut().map(|client| scope.spawn(|| client.get("/api/session"))).collect();
        reading.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for answer in answers {
        assert_eq!(answer.status, 200, "{answer:?}; the log is:\n{}", server.log());
    }
}

/// A node that starts without its database cannot ask it whether an existing key is required.
#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn a_missing_key_file_stops_a_node_and_none_is_left_behind() {
    let (cluster, db) = Cluster::start();
    add_user(&db, KIM, "owner");
    let server = Server::start(&db, &[]);
    server.client().log_in(KIM);
    assert_eq!(server.terminate(), Some(0));
    let key = std::fs::read_to_string(db.key_file()).unwrap();
    std::fs::remove_file(db.key_file()).unwrap();
    cluster.stop();
    let server = Server::start(&db, &[("SESSILE_LOG", "off")]);
    cluster.start_again();
    let (code, log) = server.ended();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.starts_with("sessile: ") && log.contains("SESSILE_KEY_FILE") && log.lines().count() == 1, "{log}");
    assert!(!Path::new(&db.key_file()).exists(), "an unusable key file was left behind");
    std::fs::write(db.key_file(), key).unwrap();
    assert_eq!(Server::start(&db, &[]).terminate(), Some(0));
}
