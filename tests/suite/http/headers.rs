//! The headers of every answer, whatever its status.

use std::collections::BTreeSet;

use diesel::{Connection as _, connection::SimpleConnection as _};
use serde_json::json;

use super::{KIM, serve, serve_process};
use crate::support::{Answer, Client, PASSWORD, Served, Server, TestDb, eventually};

#[test]
fn every_answer_carries_the_headers_of_the_contract() {
    let (db, server) = serve_process(&[]);
    let answers = one_of_each_status(&db, &server);
    let statuses: BTreeSet<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, BTreeSet::from([200, 204, 303, 304, 400, 401, 403, 404, 405, 413, 415, 422, 503]));
    for answer in &answers {
        assert_secured(answer);
    }
    let ids: BTreeSet<&str> = answers.iter().filter_map(|answer| answer.header("x-request-id")).collect();
    assert_eq!(ids.len(), answers.len(), "every answer has its own id");
    for id in ids {
        assert_logged(&server, id);
    }
}

#[test]
fn only_static_files_are_cached() {
    let (db, server) = serve(&[]);
    for answer in one_of_each_status(&db, &server) {
        let kept = answer.header("cache-control").unwrap_or_default();
        if kept.contains("immutable") {
            assert!(matches!(answer.status, 200 | 304) && kept.contains("max-age=31536000"), "{answer:?}");
            assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
        } else {
            assert_eq!(kept, "no-store", "{answer:?}");
        }
    }
    let page = server.client().get("/login");
    let assets: Vec<&str> = page.body.split('"').filter(|part| part.starts_with("/static/")).collect();
    assert!(assets.len() > 3, "{page:?}");
    for path in assets {
        let asset = server.client().send("HEAD", path, &[], b"");
        assert_eq!(asset.status, 200, "{path}");
        assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"), "{path}");
    }
}

#[test]
fn a_fault_of_the_database_is_a_503_and_no_logout() {
    let (db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let cookies = client.cookies.clone();
    db.sql("ALTER TABLE sessions RENAME TO sessions_away");
    let requests: [(&str, &str); 6] = [
        ("GET", "/api/session"),
        ("DELETE", "/api/session"),
        ("GET", "/api/session/data"),
        ("GET", "/dashboard"),
        ("GET", "/login"),
        ("POST", "/logout"),
    ];
    for (method, path) in requests {
        let answer = client.send(method, path, &[("Content-Type", "application/x-www-form-urlencoded")], b"");
        assert_eq!(answer.status, 503, "{method} {path}: {answer:?}");
        assert!(answer.header("retry-after").is_some() && answer.header("set-cookie").is_none(), "{answer:?}");
        assert_eq!(answer.header("clear-site-data"), None, "{answer:?}");
        assert!(!answer.body.contains("no such table"), "the cause is only in the log: {answer:?}");
        if path.starts_with("/api/") {
            assert_eq!(answer.problem(), "unavailable");
        }
    }
    assert_eq!(client.get("/healthz").status, 200);
    db.sql("ALTER TABLE sessions_away RENAME TO sessions");
    assert_eq!(client.cookies, cookies);
    assert_eq!(client.get("/api/session").status, 200);
}

#[test]
fn a_database_that_cannot_be_written_is_a_503_and_no_logout() {
    let (db, server) = serve(&[("SESSILE_STATEMENT_TIMEOUT", "300ms")]);
    let mut client = server.client();
    client.log_in(KIM);
    let token = client.form_token("/dashboard");
    let cookies = client.cookies.clone();
    let lock = WriteLock::take(&db);
    let answers = [
        client.json("DELETE", "/api/session", &json!(null)),
        client.form("/logout", &[("csrf", &token)]),
        client.json("PATCH", "/api/session/data", &json!({"a": 1})),
        client.try_log_in(KIM, PASSWORD),
        server.client().try_log_in(KIM, "a wrong password"),
    ];
    for answer in &answers {
        assert_eq!((answer.status, answer.header("set-cookie")), (503, None), "{answer:?}");
        assert!(answer.header("retry-after").is_some() && answer.header("clear-site-data").is_none(), "{answer:?}");
    }
    assert_eq!(client.get("/api/session").status, 200, "reads still work");
    drop(lock);
    assert_eq!(client.cookies, cookies);
    assert_eq!(client.get("/api/session").status, 200);
    assert_eq!(client.json("DELETE", "/api/session", &json!(null)).status, 204);
}

#[test]
fn a_client_cannot_choose_the_request_id() {
    let (_db, server) = serve(&[]);
    let answer = server.client().send("GET", "/healthz", &[("X-Request-Id", "mine")], b"");
    assert_ne!(answer.header("x-request-id"), Some("mine"));
}

#[test]
fn redirects_and_bounces_are_logged_with_their_id() {
    let settings = [("SESSILE_PUBLIC_URL", "https://id.example.com"), ("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32")];
    let (_db, server) = serve_process(&settings);
    let mut client = Client::new(&server.address, "https://id.example.com");
    let redirect = client.send("GET", "/login", &[("X-Forwarded-Proto", "http")], b"");
    let elsewhere = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    let bounce = client.send("GET", "/dashboard", &elsewhere, b"");
    for answer in [redirect, bounce] {
        assert_secured(&answer);
        assert_logged(&server, answer.header("x-request-id").expect("a name"));
    }
}

#[test]
fn a_wrong_method_on_a_page_gets_an_error_page() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    for path in ["/login?next=a&next=b", "/setup?token=a&token=b", "/nothing"] {
        let answer = client.get(path);
        assert!((400..500).contains(&answer.status), "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}: {answer:?}");
    }
}

/// One answer for each status that the program uses, with several of 200.
fn one_of_each_status(db: &TestDb, server: &Served) -> Vec<Answer> {
    let mut client = server.client();
    let login = client.get("/login");
    let css = login.body.split('"').find(|part| part.ends_with(".css")).expect("a stylesheet").to_owned();
    let asset = client.get(&css);
    let tag = asset.header("etag").expect("a tag").to_owned();
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let json = [("Content-Type", "application/json")];
    let large = vec![b'a'; 17 * 1024];
    let mut all = vec![
        login,
        asset,
        client.send("GET", &css, &[("If-None-Match", &tag)], b""),
        client.get("/healthz"),
        client.get("/"),
        client.get("/dashboard"),
        client.get("/setup"),
        client.get("/nothing"),
        client.get("/api/nothing"),
        client.get("/static/missing"),
        client.get("/logout"),
        client.send("PUT", "/api/session", &json, b"{}"),
        client.get("/api/session"),
        client.send("POST", "/api/establish-session", &json, b"{"),
        client.send("POST", "/api/establish-session", &form, b"a=b"),
        client.send("POST", "/login", &json, b"{}"),
        client.send("POST", "/login", &form, &large),
        client.send("POST", "/login", &form, b"email=kim"),
        client.send("POST", "/login", &[form[0], ("Origin", "null")], b""),
        client.send("DELETE", "/api/session", &[("Origin", "null")], b""),
        client.try_log_in(KIM, "wrong password"),
        client.log_in(KIM),
        client.get("/dashboard"),
        client.get("/api/session"),
        client.get("/api/session/data"),
        client.json("PATCH", "/api/session/data", &json!({"a": 1})),
        client.send("HEAD", "/dashboard", &[], b""),
    ];
    db.sql("ALTER TABLE sessions RENAME TO sessions_away");
    all.push(client.get("/api/session"));
    all.push(client.get("/dashboard"));
    db.sql("ALTER TABLE sessions_away RENAME TO sessions");
    all.push(client.json("DELETE", "/api/session", &json!(null)));
    all
}

/// A lock on the database that blocks all other writers until it is dropped.
pub struct WriteLock(diesel::SqliteConnection);

impl WriteLock {
    pub fn take(db: &TestDb) -> Self {
        let file = db.folder.join("test.sqlite3").display().to_string();
        let mut conn = diesel::SqliteConnection::establish(&file).expect("the database");
        conn.batch_execute("PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE").expect("the lock");
        Self(conn)
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        self.0.batch_execute("ROLLBACK").expect("its end");
    }
}

/// Checks the headers that every answer of the application carries.
pub fn assert_secured(answer: &Answer) {
    let only = |name: &str| {
        let all: Vec<&str> = answer.headers.iter().filter(|(one, _)| one == name).map(|(_, v)| v.as_str()).collect();
        assert_eq!(all.len(), 1, "{name} in {answer:?}");
        all[0].to_owned()
    };
    let policy = only("content-security-policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    for part in ["base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"] {
        assert!(policy.split(';').any(|one| one.trim() == part), "{part} in {policy}");
    }
    assert!(!policy.contains("unsafe-") && !policy.contains('*'), "{policy}");
    assert_eq!(only("x-content-type-options"), "nosniff");
    assert!(["same-origin", "no-referrer"].contains(&only("referrer-policy").as_str()));
    assert_eq!(only("cross-origin-opener-policy"), "same-origin");
    assert!(["same-origin", "same-site"].contains(&only("cross-origin-resource-policy").as_str()));
    assert!(!only("permissions-policy").is_empty() && only("x-request-id").len() > 16);
    assert_eq!(answer.header("server"), None, "{answer:?}");
    let is_problem = answer.header("content-type") == Some("application/problem+json");
    // An answer to HEAD has no document.
    if answer.status >= 400 && is_problem && !answer.body.is_empty() {
        assert_eq!(answer.json()["requestId"], only("x-request-id").as_str(), "{answer:?}");
    }
}

fn assert_logged(server: &Server, id: &str) {
    actix_web::rt::System::new().block_on(eventually(&format!("a line of the log with {id}"), async || {
        server.log().lines().any(|line| line.contains(id) && line.contains("answered"))
    }));
}
