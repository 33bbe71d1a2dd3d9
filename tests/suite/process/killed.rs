//! Killed in the middle of logins and logouts, and started again: nothing acknowledged is lost, and what has ended stays
//! ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{
    atomic::{AtomicBool, Ordering},
    mpsc::{self, Receiver},
};
use std::time::Duration;

use super::{
    diary::{Browser, Diary, Held},
    is_long, lasting_port,
    psql::Psql,
};
use crate::support::{Answer, Client, Engine, Server, TestDb, add_user, on_both_engines};

const BROWSERS: u64 = 6;
/// The limit of sessions and the log are not what this is about.
const MORE: [(&str, &str); 2] = [("SESSILE_SESSIONS_PER_ACCOUNT", "0"), ("SESSILE_LOG", "warn")];

on_both_engines! {
    what_was_acknowledged_survives_kill_9_and_what_ended_stays_ended,
}

async fn what_was_acknowledged_survives_kill_9_and_what_ended_stays_ended(db: TestDb) {
    storm(&db, None);
}

#[test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
fn what_was_acknowledged_survives_kill_9_and_lost_connections() {
    let db = TestDb::new(Engine::Postgres);
    let cuts = Psql::open(&db);
    storm(&db, Some(cuts));
}

fn storm(db: &TestDb, mut cuts: Option<Psql>) {
    let emails: Vec<String> = (0..BROWSERS / 2).map(|n| format!("person{n}@example.com")).collect();
    for email in &emails {
        add_user(db, email, "member");
    }
    let port = lasting_port();
    let mut server = Server::start_on(db, port, &MORE);
    let rounds = if is_long() { 60 } else { 8 };
    let stop = AtomicBool::new(false);
    let (answered, answers) = mpsc::channel();
    let diaries: Vec<Diary> = std::thread::scope(|scope| {
        let browsers: Vec<_> = (0..BROWSERS)
            .map(|n| {
                let email = emails[usize::try_from(n / 2).unwrap()].clone();
                let browser = Browser::new(server.client(), email, 0x9e37_79b9 + n * 7919, answered.clone());
                let stop = &stop;
                scope.spawn(move || browser.live(stop))
            })
            .collect();
        // However this ends, the browsers are told to stop.
        let _stop = StopAtEnd(&stop);
        drop(answered);
        for round in 0..rounds {
            let acknowledged = 5 + round * 29 % 47;
            wait_for(&answers, acknowledged, &server);
            if let Some(cuts) = &mut cuts {
                cuts.cut_connections();
                wait_for(&answers, acknowledged, &server);
            }
            server.kill();
            server = Server::start_on(db, port, &MORE);
        }
        wait_for(&answers, 20, &server);
        stop.store(true, Ordering::Relaxed);
        let diaries = browsers.into_iter().map(|browser| browser.join().expect("a browser to the end")).collect();
        server.kill();
        server = Server::start_on(db, port, &MORE);
        diaries
    });
    check_sessions(&server, &diaries);
    check_trail(db, &diaries);
    let total = |what: fn(&Diary) -> usize| diaries.iter().map(what).sum::<usize>();
    println!(
        "{rounds} kills: {} logins and {} logouts acknowledged, {} live, {} requests without an answer",
        total(|diary| diary.logins.len()),
        total(|diary| diary.logouts.len()),
        total(|diary| diary.living.len()),
        total(|diary| diary.without_answer),
    );
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until so many more answers have come.
fn wait_for(answers: &Receiver<()>, many: usize, server: &Server) {
    while answers.try_recv().is_ok() {}
    for _ in 0..many {
        let one = answers.recv_timeout(Duration::from_secs(60));
        assert!(one.is_ok(), "no answer for a minute; the log says:\n{}", server.log());
    }
}

fn check_sessions(server: &Server, diaries: &[Diary]) {
    for held in diaries.iter().flat_map(|diary| &diary.living) {
        let mut client = with_cookie(server, &held.cookie);
        let answer = answer_to(&mut client, "/api/session");
        assert_eq!(answer.status, 200, "{} was acknowledged and never ended: {answer:?}", held.id);
        assert_eq!(answer.json()["session"]["id"], *held.id);
        check_data(held, &answer_to(&mut client, "/api/session/data"));
    }
    for cookie in diaries.iter().flat_map(|diary| &diary.dead) {
        let answer = answer_to(&mut with_cookie(server, cookie), "/api/session");
        assert_eq!(answer.status, 401, "its end was acknowledged: {answer:?}");
    }
}

fn check_data(held: &Held, answer: &Answer) {
    let n = answer.json()["n"].as_u64();
    assert!(held.data.contains(&n), "{n:?} is none of {:?}", held.data);
}

fn with_cookie(server: &Server, cookie: &str) -> Client {
    let mut client = server.client();
    client.cookies.insert("aiq_session".to_owned(), cookie.to_owned());
    client
}

/// An answer that is one: on a busy machine the first may be 503.
fn answer_to(client: &mut Client, path: &str) -> Answer {
    for _ in 0..10 {
        let answer = client.get(path);
        if answer.status != 503 {
            return answer;
        }
    }
    panic!("nothing but 503 at {path}");
}

/// One row of the trail for each acknowledged change, and none that contradicts another.
fn check_trail(db: &TestDb, diaries: &[Diary]) {
    let rows = db.sql(
        "SELECT line FROM (SELECT kind || '|' || coalesce(session_id, '') || '|' || coalesce(detail, '') AS line \
         FROM audit ORDER BY id) AS trail",
    );
    let mut trail: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for row in rows.lines() {
        let mut parts = row.splitn(3, '|');
        let mut part = || parts.next().expect("three parts");
        let (kind, session, detail) = (part(), part(), part());
        trail.entry((kind, session)).or_default().push(detail);
    }
    let of = |kind, session: &str| trail.get(&(kind, session)).cloned().unwrap_or_default();
    for diary in diaries {
        for login in &diary.logins {
            assert_eq!(of("login.succeeded", &login.id).len(), 1, "{}", login.id);
            let (created, rotated) = (of("session.created", &login.id), of("session.regenerated", &login.id));
            match &login.was {
                Some(was) => assert_eq!((created.len(), rotated), (0, vec![format!("was {was}").as_str()])),
                None => assert_eq!((created.len(), rotated.len()), (1, 0), "{}", login.id),
            }
        }
        for id in &diary.logouts {
            assert_eq!(of("logout", id).len(), 1, "{id}");
        }
    }
    // Acknowledged or not: a session began once, and ended or went on as one other.
    let began: Vec<&str> = all(&trail, &["session.created", "session.regenerated"]);
    let distinct: BTreeSet<&str> = began.iter().copied().collect();
    assert_eq!((distinct.len(), all(&trail, &["login.succeeded"]).len()), (began.len(), began.len()));
    let rotated = trail.iter().filter(|((kind, _), _)| *kind == "session.regenerated").flat_map(|(_, details)| details);
    let rotated: Vec<&str> = rotated.map(|detail| detail.strip_prefix("was ").expect("what it was")).collect();
    let gone: Vec<&str> = rotated.into_iter().chain(all(&trail, &["logout"])).collect();
    let mut left = distinct;
    for id in &gone {
        assert!(left.remove(id), "{id} ended twice, or never began");
    }
    let live = db.sql("SELECT id FROM sessions WHERE ended_at IS NULL");
    assert_eq!(live.lines().collect::<BTreeSet<_>>(), left, "the trail and the sessions agree");
}

/// The session of each row of these kinds.
fn all<'a>(trail: &BTreeMap<(&'a str, &'a str), Vec<&'a str>>, kinds: &[&str]) -> Vec<&'a str> {
    let rows = trail.iter().filter(|((kind, _), _)| kinds.contains(kind));
    rows.flat_map(|((_, session), details)| details.iter().map(|_| *session)).collect()
}
