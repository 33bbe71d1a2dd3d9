//! A worker that is away: accounts of other workers go on, the others get 503, and nobody is signed out.

use std::collections::BTreeMap;

use super::{KIM, on_cluster, status_in_the_end};
use crate::support::{
    App, Client, PASSWORD, TestDb, add_user,
    citus::{bring_back, take_away, worker_of, workers},
    sessile,
};

#[test]
#[ignore = "needs Citus: see docs/scaling.md"]
fn a_worker_that_is_away_stops_its_own_accounts_only() {
    let Some(db) = on_cluster(TestDb::on_citus()) else { return };
    let mut emails: BTreeMap<String, String> = BTreeMap::new();
    emails.insert(worker_of(&db, &add_user(&db, KIM, "owner")), KIM.to_owned());
    for n in 0.. {
        if emails.len() == workers().len() {
            break;
        }
        let email = format!("n{n}@example.com");
        emails.entry(worker_of(&db, &add_user(&db, &email, "member"))).or_insert(email);
    }
    let here = App::start(&db, &[("SESSILE_SESSION_CACHE", "off")]);
    let mut clients: BTreeMap<&String, Client> = BTreeMap::new();
    for (worker, email) in &emails {
        let mut client = here.client();
        client.log_in(email);
        clients.insert(worker, client);
    }
    let away = workers()[0].clone();
    take_away(&db, &away);
    for (worker, client) in &mut clients {
        let cookies = client.cookies.clone();
        // The first statement on a connection that the worker has closed may fail.
        let status = if **worker == away { client.get("/api/session").status } else { status_in_the_end(client) };
        assert_eq!(status, if **worker == away { 503 } else { 200 }, "{worker}");
        let changed = client.json("PATCH", "/api/session/data", &serde_json::json!({"a": 1}));
        assert_eq!(changed.status, if **worker == away { 503 } else { 200 }, "{worker} {changed:?}");
        assert_eq!(client.cookies, cookies, "no cookie is taken away");
    }
    for email in emails.values() {
        let status = here.client().try_log_in(email, PASSWORD).status;
        assert!(matches!(status, 200 | 503), "{email} {status}");
    }
    let doctor = String::from_utf8(sessile(&db, &["doctor"], "").stdout).unwrap();
    assert!(doctor.contains("FAIL placement: these workers do not answer") && doctor.contains(&away), "{doctor}");
    // A node that starts meanwhile serves the accounts of the other worker.
    bring_back(&db, &away);
    for (worker, client) in &mut clients {
        assert_eq!(status_in_the_end(client), 200, "{worker}");
        assert_eq!(client.json("DELETE", "/api/session", &serde_json::json!(null)).status, 204, "{worker}");
        assert_eq!(client.get("/api/session").status, 401, "{worker}");
    }
}
