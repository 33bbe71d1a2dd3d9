//! What an app's server hears: ends of the sessions that opened the app, and which sessions live.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use sessile::actions::apps::{
    manage::{self, SecretOf},
    manager::Manager,
};

use super::{ALEX, BLOG, Browser, KIM, Registered, db_of_operator, register, shop};
use crate::support::{App, Client, Engine, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    an_app_hears_of_the_ends_of_its_sessions_only,
    a_resumed_feed_loses_nothing,
    an_end_that_is_committed_late_is_not_lost,
    a_feed_tells_ends_in_portions_and_each_of_them,
    the_feeds_of_an_app_share_what_is_read,
    a_feed_that_cannot_be_resumed_says_so,
    an_app_has_at_most_sixteen_feeds,
    a_wrong_secret_hears_nothing,
    a_feed_ends_with_its_secret,
    an_app_learns_which_of_its_sessions_live,
}

/// An open feed.
struct Feed {
    lines: Box<dyn Iterator<Item = String>>,
    status: String,
}

#[derive(Debug)]
struct Told {
    id: String,
    name: String,
    data: Value,
}

impl Feed {
    fn open(server: &App, app: &Registered, last_id: Option<&str>) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let resume = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request = format!(
            "GET /api/apps/{}/ends HTTP/1.1\r\nHost: id.example.com\r\nAuthorization: Bearer {}\r\n{resume}\r\n",
            app.id, app.secret
        );
        socket.write_all(request.as_bytes()).expect("a request");
        let mut lines: Box<dyn Iterator<Item = String>> =
            Box::new(BufReader::new(socket).lines().map_while(Result::ok));
        let status = lines.next().expect("a status");
        lines.by_ref().find(String::is_empty);
        Self { lines, status }
    }

    /// The next event; `None` when the server has closed the feed.
    fn next(&mut self) -> Option<Told> {
        let (mut id, mut name) = (String::new(), String::new());
        for line in self.lines.by_ref() {
            if let Some(text) = line.strip_prefix("id: ") {
                text.clone_into(&mut id);
            } else if let Some(text) = line.strip_prefix("event: ") {
                text.clone_into(&mut name);
            } else if let Some(text) = line.strip_prefix("data: ") {
                return Some(Told { id, name, data: serde_json::from_str(text).expect("JSON") });
            } else if line == "0" {
                return None;
            }
        }
        None
    }

    /// The next event, which must be an end.
    fn ended(&mut self) -> Told {
        let told = self.next().expect("an event");
        assert_eq!(told.name, "ended", "{told:?}");
        told
    }
}

fn log_out(browser: &mut Browser) {
    assert_eq!(browser.sessile.send("DELETE", "/api/session", &[], b"").status, 204);
}

async fn an_app_hears_of_the_ends_of_its_sessions_only(db: TestDb) {
    let (server, app) = shop(&db).await;
    let blog = register(&db, BLOG, Default::default()).await;
    let (mut kim, mut alex) = (Browser::in_app(&server, &app, KIM), Browser::in_app(&server, &app, ALEX));
    let mut not_here = Browser::in_app(&server, &blog, KIM);
    let (sid, other) = (kim.session_id(), alex.session_id());
    let mut feed = Feed::open(&server, &app, None);
    assert!(feed.status.contains("200"), "{}", feed.status);
    assert_eq!(feed.next().unwrap().name, "reset");
    log_out(&mut not_here);
    log_out(&mut kim);
    let told = feed.ended();
    assert_eq!((&told.data["sid"], &told.data["reason"]), (&json!(sid), &json!("logged-out")));
    assert_eq!(
        told.data["sub"].as_str(),
        Some(db.sql("SELECT id FROM accounts WHERE email = 'kim@example.com'").as_str())
    );
    assert!(told.data["at"].as_str().unwrap().ends_with('Z') && told.id.parse::<i64>().is_ok(), "{told:?}");
    // After a rotation the session has the same name.
    alex.sessile.log_in(ALEX);
    assert_ne!(alex.session_id(), other);
    alex.sessile.log_in(KIM);
    let told = feed.ended();
    assert_eq!((&told.data["sid"], &told.data["reason"]), (&json!(other), &json!("replaced")));
}

async fn a_resumed_feed_loses_nothing(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browsers: Vec<Browser> = (0..6).map(|_| Browser::in_app(&server, &app, KIM)).collect();
    let sids: Vec<String> = browsers.iter_mut().map(Browser::session_id).collect();
    let mut feed = Feed::open(&server, &app, None);
    let mut last = feed.next().unwrap().id;
    let mut heard = std::collections::BTreeSet::new();
    for (browser, sid) in browsers.iter_mut().zip(&sids) {
        drop(feed);
        log_out(browser);
        feed = Feed::open(&server, &app, Some(&last));
        while !heard.contains(sid) {
            let told = feed.ended();
            heard.insert(told.data["sid"].as_str().unwrap().to_owned());
            last = told.id;
        }
    }
    assert_eq!(heard.len(), sids.len());
}

async fn a_feed_that_cannot_be_resumed_says_so(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    log_out(&mut browser);
    let now: i64 = Feed::open(&server, &app, None).next().unwrap().id.parse().unwrap();
    let day = 24 * 3600 * 1_000_000;
    for id in ["nonsense", "", "-1", &(now - day - 60_000_000).to_string(), &(now + day).to_string()] {
        assert_eq!(Feed::open(&server, &app, Some(id)).next().unwrap().name, "reset", "{id}");
    }
    let mut long_ago = Feed::open(&server, &app, Some(&(now - day + 60_000_000).to_string()));
    assert_eq!(long_ago.next().unwrap().name, "ended");
}

async fn an_app_has_at_most_sixteen_feeds(db: TestDb) {
    let (server, app) = shop(&db).await;
    let blog = register(&db, BLOG, Default::default()).await;
    let mut open: Vec<Feed> = (0..16).map(|_| Feed::open(&server, &app, None)).collect();
    assert!(open.iter_mut().all(|feed| feed.next().is_some()));
    let refused = Feed::open(&server, &app, None);
    assert!(refused.status.contains("429"), "{}", refused.status);
    assert!(Feed::open(&server, &blog, None).next().is_some());
}

async fn a_wrong_secret_hears_nothing(db: TestDb) {
    let (server, app) = shop(&db).await;
    let blog = register(&db, BLOG, Default::default()).await;
    let mut client = Client::new(&server.address, super::HERE).without_origin();
    let bearer = |secret: &str| format!("Bearer {secret}");
    for (id, sent) in [
        (&app.id, Some(bearer(&blog.secret))),
        (&app.id, Some(bearer(&app.token))),
        (&app.id, Some(app.secret.clone())),
        (&app.id, None),
        (&"app_unknown".to_owned(), Some(bearer(&app.secret))),
    ] {
        let headers: Vec<(&str, &str)> = sent.iter().map(|sent| ("authorization", sent.as_str())).collect();
        let answer = client.send("GET", &format!("/api/apps/{id}/ends"), &headers, b"");
        assert_eq!((answer.status, answer.problem().as_str()), (401, "invalid-credentials"), "{id} {sent:?}");
        let json = [&headers[..], &[("content-type", "application/json")]].concat();
        let answer = client.send("POST", &format!("/api/apps/{id}/living"), &json, b"{\"sids\": []}");
        assert_eq!(answer.status, 401, "{id} {sent:?}");
    }
}

async fn a_feed_ends_with_its_secret(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    let mut feed = Feed::open(&server, &app, None);
    assert_eq!(feed.next().unwrap().name, "reset");
    let secret = manage::rotate(&db_of_operator(&db), &Manager::Operator, &app.id, SecretOf::Server).await.unwrap();
    log_out(&mut browser);
    assert!(feed.next().is_none());
    let app = Registered { secret: secret.expose().to_owned(), ..app };
    assert_eq!(Feed::open(&server, &app, None).next().unwrap().name, "reset");
}

async fn an_app_learns_which_of_its_sessions_live(db: TestDb) {
    let (server, app) = shop(&db).await;
    let blog = register(&db, BLOG, Default::default()).await;
    let (mut lives, mut ended) = (Browser::in_app(&server, &app, KIM), Browser::in_app(&server, &app, ALEX));
    let mut expired = Browser::in_app(&server, &app, ALEX);
    let mut elsewhere = Browser::in_app(&server, &blog, KIM);
    let sids: Vec<String> = [&mut lives, &mut ended, &mut expired, &mut elsewhere].map(Browser::session_id).to_vec();
    log_out(&mut ended);
    db.sql(&format!(
        "UPDATE sessions SET last_activity = INSTANT(-900), expires_at = INSTANT(-1) WHERE id = '{}'",
        sids[2]
    ));
    let mut client = Client::new(&server.address, super::HERE).without_origin();
    let bearer = format!("Bearer {}", app.secret);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let mut ask = |body: Value| {
        client.send("POST", &format!("/api/apps/{}/living", app.id), &headers, body.to_string().as_bytes())
    };
    let asked: Vec<&str> = sids.iter().map(String::as_str).chain(["unknown", "a\0b"]).collect();
    assert_eq!(ask(json!({"sids": asked})).json(), json!({"living": [sids[0]]}));
    assert_eq!(ask(json!({"sids": []})).json(), json!({"living": []}));
    assert_eq!(ask(json!({"sids": vec!["x"; 1001]})).problem(), "invalid-request");
    assert_eq!(ask(json!({"sids": "x"})).problem(), "invalid-request");
    assert_eq!(ask(json!([["x"]])).problem(), "invalid-request");
}

/// Adds ended sessions of Kim that opened the app. `ended` is SQL for the time of the end of the session numbered `i`.
fn add_ended(db: &TestDb, app: &Registered, many: usize, ended: &str) {
    let postgres = db.engine == Engine::Postgres;
    let (bytes, no) = if postgres { ("BYTEA", "false") } else { ("BLOB", "0") };
    let state = if postgres { "'{}'" } else { "jsonb('{}')" };
    let numbers = db.engine.numbers(many);
    let account = "(SELECT id FROM accounts WHERE email = 'kim@example.com')";
    db.sql(&format!(
        "INSERT INTO sessions (id, sid, secret_hash, account_id, device_id, created_at, authenticated_at, last_activity, \
         expires_at, absolute_expires_at, browser, os, kind, installed, version, state, data, ended_at, ended_reason) \
         SELECT 'aiq_' || i, 'aiq_' || i, CAST('aiq_' || i AS {bytes}), {account}, NULL, INSTANT(-9000), \
         INSTANT(-9000), INSTANT(-5000), INSTANT(9000), INSTANT(9000), 'B', 'O', 'other', {no}, 1, {state}, '{{}}', \
         {ended}, 'expired' FROM {numbers}"
    ));
    db.sql(&format!(
        "INSERT INTO app_grants (account_id, id, app_id, sid, secret_hash, created_at) SELECT {account}, \
         'grant_' || i, '{}', 'aiq_' || i, CAST('grant_' || i AS {bytes}), INSTANT(-8000) FROM {numbers}",
        app.id
    ));
}

async fn an_end_that_is_committed_late_is_not_lost(db: TestDb) {
    let (server, app) = shop(&db).await;
    let id = Feed::open(&server, &app, None).next().unwrap().id;
    add_ended(&db, &app, 1, "INSTANT(-120)");
    assert_eq!(Feed::open(&server, &app, Some(&id)).ended().data["sid"], json!("aiq_1"));
}

async fn a_feed_tells_ends_in_portions_and_each_of_them(db: TestDb) {
    let (server, app) = shop(&db).await;
    let id: i64 = Feed::open(&server, &app, None).next().unwrap().id.parse().unwrap();
    // Many end at the same time, as when an account is disabled.
    add_ended(&db, &app, 1_700, "CASE WHEN i < 900 THEN INSTANT(-1000) ELSE INSTANT(-900) END");
    let mut feed = Feed::open(&server, &app, Some(&(id - 2_000_000_000).to_string()));
    let told: std::collections::BTreeSet<String> =
        (0..1_700).map(|_| feed.ended().data["sid"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told.len(), 1_700);
    let mut browser = Browser::in_app(&server, &app, KIM);
    let sid = browser.session_id();
    log_out(&mut browser);
    assert_eq!(feed.ended().data["sid"], json!(sid));
}

async fn the_feeds_of_an_app_share_what_is_read(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browsers: Vec<Browser> = (0..4).map(|_| Browser::in_app(&server, &app, KIM)).collect();
    let mut feeds: Vec<Feed> = (0..16).map(|_| Feed::open(&server, &app, None)).collect();
    assert!(feeds.iter_mut().all(|feed| feed.next().is_some_and(|told| told.name == "reset")));
    let reads = || -> u64 {
        let metrics = server.client().get("/metrics").body;
        let line = metrics.lines().find_map(|line| line.strip_prefix("sessile_database_seconds_count{kind=\"read\"} "));
        line.expect("the metric").parse().unwrap()
    };
    assert!(server.client().get("/metrics").body.contains("sessile_app_streams 16\n"));
    let before = reads();
    for browser in &mut browsers {
        log_out(browser);
        feeds.iter_mut().for_each(|feed| drop(feed.ended()));
    }
    let count = reads() - before;
    assert!(count < 40, "{count} reads for 4 ends at 16 streams");
}
