//! Lost answers and double clicks: they sign nobody out, and leave no live session whose key no browser has.

use serde_json::{Value, json};

use super::{ALEX, KIM, assert_ended, kinds, parts_of, session_id, text};
use crate::support::{Answer, App, Client, Engine, PASSWORD, Served, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_confirmation_whose_answer_is_lost_signs_nobody_out,
    a_page_of_before_a_confirmation_can_still_sign_out,
    every_way_of_signing_out_takes_a_key_of_before,
    a_sign_in_sent_twice_is_one_session_and_one_device,
    a_sign_in_over_a_session_sent_twice_is_one,
    a_form_begins_another_session_after_the_key_was_used,
    sign_ins_by_the_api_sent_at_once_are_one,
    a_sign_in_over_another_persons_session_sent_again_is_one,
    a_session_that_had_too_many_keys_is_followed_by_another,
    the_second_press_needs_the_right_password_too,
    a_logout_racing_a_confirmation_is_never_in_vain,
    two_nodes_hand_over_the_same_key,
}

fn serve(db: &TestDb) -> App {
    add_user(db, KIM, "owner");
    App::start(db, &[("SESSILE_SESSIONS_PER_ACCOUNT", "0")])
}

fn count(db: &TestDb, what: &str) -> usize {
    db.sql(&format!("SELECT count(*) FROM {what}")).parse().expect("a number")
}

fn living(db: &TestDb) -> usize {
    count(db, "sessions WHERE ended_at IS NULL")
}

fn signed_in(server: &Served) -> Client {
    let mut client = server.client();
    client.log_in(KIM);
    client
}

/// A confirmation whose answer never reaches the client.
fn confirm_in_vain(client: &Client, csrf: &str) {
    let mut lost = client.clone();
    let answer = lost.form("/confirm", &[("csrf", csrf), ("password", PASSWORD)]);
    assert_eq!(answer.status, 303, "{answer:?}");
}

async fn a_confirmation_whose_answer_is_lost_signs_nobody_out(db: TestDb) {
    let server = serve(&db);
    let mut client = signed_in(&server);
    let (csrf, old) = (client.form_token("/confirm"), client.clone());
    // Three tries: each one leads to the same lost key.
    for _ in 0..3 {
        confirm_in_vain(&client, &csrf);
    }
    let answer = client.get("/api/session");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.sets("aiq_session").is_some_and(|cookie| cookie.contains("Max-Age=259200")), "{answer:?}");
    assert_ne!(client.cookies["aiq_session"], old.cookies["aiq_session"]);
    assert_eq!(old.clone().get("/dashboard").status, 200, "the new key was not used yet");
    let again = client.form("/confirm", &[("csrf", &csrf), ("password", PASSWORD)]);
    assert_eq!((again.status, again.header("location")), (303, Some("/dashboard")), "{again:?}");
    assert_eq!(client.get("/api/session").status, 200);
    assert_ended(&old.clone().get("/api/session"), "unknown");
    assert_eq!((living(&db), count(&db, "sessions")), (1, 1));
}

async fn a_page_of_before_a_confirmation_can_still_sign_out(db: TestDb) {
    let server = serve(&db);
    let mut client = signed_in(&server);
    let csrf = client.form_token("/confirm");
    confirm_in_vain(&client, &csrf);
    assert_eq!(client.get("/api/session").status, 200);
    let out = client.form("/logout", &[("csrf", &csrf)]);
    assert_eq!((out.status, out.header("location")), (303, Some("/login?done=signed-out")), "{out:?}");
    assert_eq!(living(&db), 0);
}

/// With the previous key and with the one before it, each way of signing out on its own session.
async fn every_way_of_signing_out_takes_a_key_of_before(db: TestDb) {
    let server = serve(&db);
    let by_form = |old: &mut Client, csrf: &str, _: &str| {
        let out = old.form("/logout", &[("csrf", csrf)]);
        assert_eq!((out.status, out.header("location")), (303, Some("/login?done=signed-out")), "{out:?}");
        assert!(out.header("clear-site-data").is_some() && !old.cookies.contains_key("aiq_session"), "{out:?}");
    };
    let by_api = |old: &mut Client, _: &str, _: &str| {
        assert_eq!(old.json("DELETE", "/api/session", &Value::Null).status, 204);
        assert!(!old.cookies.contains_key("aiq_session"));
    };
    let by_goodbye = |old: &mut Client, _: &str, id: &str| {
        let operation =
            json!({"id": "0b9fd2a4-6a4e-4c39-9f57-0c7d5ad4a111", "kind": "session.logout", "sessionId": id});
        assert_ended(&old.json("POST", "/api/session/sync", &json!({"operations": [operation]})), "logged-out");
    };
    type Way<'w> = &'w dyn Fn(&mut Client, &str, &str);
    let ways: [Way<'_>; 3] = [&by_form, &by_api, &by_goodbye];
    for (at, way) in ways.into_iter().enumerate() {
        for rotations in 1..=2 {
            let mut client = signed_in(&server);
            let (csrf, id, mut old) = (client.form_token("/confirm"), session_id(&mut client), client.clone());
            for _ in 0..rotations {
                let csrf = client.form_token("/confirm");
                assert_eq!(client.form("/confirm", &[("csrf", &csrf), ("password", PASSWORD)]).status, 303);
                assert_eq!(client.get("/api/session").status, 200);
            }
            way(&mut old, &csrf, &id);
            assert_ended(&client.get("/api/session"), "logged-out");
            assert_eq!(living(&db), 0, "way {at} after {rotations}");
        }
    }
    // An app that was offline sends the present key with an old id of the session.
    let mut client = signed_in(&server);
    let (csrf, id) = (client.form_token("/confirm"), session_id(&mut client));
    client.form("/confirm", &[("csrf", &csrf), ("password", PASSWORD)]);
    let operation = json!({"id": "0b9fd2a4-6a4e-4c39-9f57-0c7d5ad4a112", "kind": "session.logout", "sessionId": id});
    let answer = client.json("POST", "/api/session/sync", &json!({"operations": [operation]}));
    assert_eq!((answer.status, &answer.json()["results"][0]["status"]), (200, &json!("applied")), "{answer:?}");
    assert_eq!(living(&db), 0);
}

fn send_login(client: &mut Client, csrf: &str, password: &str) -> Answer {
    client.form("/login", &[("csrf", csrf), ("email", KIM), ("password", password)])
}

async fn a_sign_in_sent_twice_is_one_session_and_one_device(db: TestDb) {
    let server = serve(&db);
    signed_in(&server);
    let mut browser = server.client();
    let csrf = browser.form_token("/login");
    let start = std::sync::Barrier::new(4);
    let answered: Vec<Client> = std::thread::scope(|scope| {
        let press = || {
            let (mut own, start, csrf) = (browser.clone(), &start, csrf.as_str());
            scope.spawn(move || {
                start.wait();
                let answer = send_login(&mut own, csrf, PASSWORD);
                assert_eq!((answer.status, answer.header("location")), (303, Some("/dashboard")), "{answer:?}");
                own
            })
        };
        let presses = [press(), press(), press(), press()];
        presses.into_iter().map(|press| press.join().expect("an answer")).collect()
    });
    // The same form once more, a while later.
    let mut last = browser.clone();
    assert_eq!(send_login(&mut last, &csrf, PASSWORD).status, 303);
    for one in &answered {
        assert_eq!(one.cookies, last.cookies, "every answer sets the same cookies");
    }
    assert_eq!(last.get("/api/session").status, 200);
    assert_eq!((living(&db), count(&db, "devices")), (2, 2));
    for (kind, times) in [("login.succeeded", 2), ("device.new", 2), ("session.created", 2), ("login.failed", 0)] {
        assert_eq!(count(&db, &format!("audit WHERE kind = '{kind}'")), times, "{kind}");
    }
    let token = last.form_token("/dashboard");
    assert_eq!(last.form("/logout", &[("csrf", &token)]).status, 303);
    assert_eq!(living(&db), 1, "signing out ends the only session");
}

async fn a_sign_in_over_a_session_sent_twice_is_one(db: TestDb) {
    let server = serve(&db);
    let client = signed_in(&server);
    let (mut lost, mut got) = (client.clone(), client.clone());
    lost.log_in(KIM);
    got.log_in(KIM);
    assert_eq!(got.cookies, lost.cookies);
    assert_eq!((living(&db), count(&db, "devices")), (1, 1));
    assert_eq!(got.get("/api/session").status, 200);
    assert_ended(&client.clone().get("/api/session"), "unknown");
}

async fn a_form_begins_another_session_after_the_key_was_used(db: TestDb) {
    let server = serve(&db);
    let mut browser = server.client();
    let csrf = browser.form_token("/login");
    let mut first = browser.clone();
    assert_eq!(send_login(&mut first, &csrf, PASSWORD).status, 303);
    assert_eq!(first.get("/dashboard").status, 200);
    let mut second = browser.clone();
    assert_eq!(send_login(&mut second, &csrf, PASSWORD).status, 303);
    assert_ne!(second.cookies["aiq_session"], first.cookies["aiq_session"]);
    assert_eq!((first.get("/api/session").status, second.get("/api/session").status), (200, 200));
    // As long as the key is not used, it is the same sign-in, however old.
    let mut third = browser.clone();
    assert_eq!(send_login(&mut third, &csrf, PASSWORD).status, 303);
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(-40000)");
    let mut fourth = browser.clone();
    assert_eq!(send_login(&mut fourth, &csrf, PASSWORD).status, 303);
    assert_eq!(fourth.cookies, third.cookies);
    assert_eq!((living(&db), count(&db, "devices")), (3, 3));
}

async fn sign_ins_by_the_api_sent_at_once_are_one(db: TestDb) {
    let server = serve(&db);
    // With a visitor cookie, or with the cookie of a session that has ended.
    let mut visitor = server.client();
    visitor.get("/login");
    let mut returning = signed_in(&server);
    let dead = returning.clone();
    assert_eq!(returning.json("DELETE", "/api/session", &Value::Null).status, 204);
    for (at, browser) in [visitor, dead].into_iter().enumerate() {
        let start = std::sync::Barrier::new(3);
        let answered: Vec<Client> = std::thread::scope(|scope| {
            let press = || {
                let (mut own, start) = (browser.clone(), &start);
                scope.spawn(move || {
                    start.wait();
                    own.log_in(KIM);
                    own
                })
            };
            let presses = [press(), press(), press()];
            presses.into_iter().map(|press| press.join().expect("an answer")).collect()
        });
        assert!(answered.iter().all(|one| one.cookies["aiq_session"] == answered[0].cookies["aiq_session"]), "{at}");
        assert_eq!(answered[0].clone().get("/api/session").status, 200);
        assert_eq!((living(&db), count(&db, "devices")), (at + 1, at + 2 - at), "{at}");
    }
}

async fn a_sign_in_over_another_persons_session_sent_again_is_one(db: TestDb) {
    let server = serve(&db);
    add_user(&db, ALEX, "member");
    let kim = signed_in(&server);
    for _ in 0..3 {
        kim.clone().log_in(ALEX);
    }
    // The same by a form, which gets its visitor cookie only on the second try.
    let mut by_form = kim.clone();
    let csrf = by_form.form_token("/login");
    let mut last = by_form.clone();
    let answer = last.form("/login", &[("csrf", &csrf), ("email", ALEX), ("password", PASSWORD)]);
    assert_eq!(answer.status, 303, "{answer:?}");
    assert_eq!((living(&db), count(&db, "sessions"), count(&db, "devices")), (1, 2, 2));
    assert_eq!(last.get("/api/session").json()["user"]["email"], ALEX);
    assert_ended(&kim.clone().get("/api/session"), "replaced");
}

async fn a_session_that_had_too_many_keys_is_followed_by_another(db: TestDb) {
    let server = serve(&db);
    let mut client = signed_in(&server);
    client.json("PATCH", "/api/session/data", &json!({"cart": [1]}));
    let csrf = client.form_token("/confirm");
    db.sql(&format!(
        "INSERT INTO former_keys (account_id, id, secret_hash, session_id, replaced_at) \
         SELECT account_id, 'aiq_1_' || i, secret_hash, id, INSTANT(-60) FROM sessions, {}",
        db.engine.numbers(1000)
    ));
    let full = client.clone();
    let refused = client.form("/confirm", &[("csrf", &csrf), ("password", PASSWORD)]);
    assert_eq!((refused.status, refused.sets("aiq_session")), (409, None), "{refused:?}");
    assert_eq!(client.get("/api/session").status, 200);
    client.log_in(KIM);
    let again = full.clone().log_in(KIM);
    assert_eq!(client.get("/api/session/data").json(), json!({"cart": [1]}));
    assert_eq!(again.json()["session"]["id"], client.get("/api/session").json()["session"]["id"]);
    assert_ended(&full.clone().get("/api/session"), "replaced");
    assert_eq!((living(&db), count(&db, "devices")), (1, 1));
}

async fn the_second_press_needs_the_right_password_too(db: TestDb) {
    let server = serve(&db);
    add_user(&db, ALEX, "member");
    let mut browser = server.client();
    let csrf = browser.form_token("/login");
    assert_eq!(send_login(&mut browser.clone(), &csrf, PASSWORD).status, 303);
    let wrong = send_login(&mut browser.clone(), &csrf, "not the password 1");
    assert_eq!((wrong.status, wrong.sets("aiq_session")), (401, None), "{wrong:?}");
    let mut other = browser.clone();
    let alex = other.form("/login", &[("csrf", &csrf), ("email", ALEX), ("password", PASSWORD)]);
    assert_eq!(alex.status, 303, "{alex:?}");
    assert_eq!(other.get("/api/session").json()["user"]["email"], ALEX);
    // With another browser's visitor cookie it is another form.
    let mut elsewhere = server.client();
    let csrf = elsewhere.form_token("/login");
    assert_eq!(send_login(&mut elsewhere, &csrf, PASSWORD).status, 303);
    assert_eq!(living(&db), 3);
}

/// In any order, nothing is left alive after a logout that was acknowledged.
async fn a_logout_racing_a_confirmation_is_never_in_vain(db: TestDb) {
    let server = serve(&db);
    for round in 0..25 {
        let mut client = signed_in(&server);
        let csrf = client.form_token("/confirm");
        let (mut one, mut two) = (client.clone(), client.clone());
        std::thread::scope(|scope| {
            scope.spawn(|| one.form("/confirm", &[("csrf", &csrf), ("password", PASSWORD)]));
            let out = two.form("/logout", &[("csrf", &csrf)]);
            assert_eq!((out.status, out.header("location")), (303, Some("/login?done=signed-out")), "{out:?}");
        });
        assert_eq!(living(&db), 0, "round {round}");
        assert_eq!(one.get("/api/session").status, 401);
    }
}

async fn two_nodes_hand_over_the_same_key(db: TestDb) {
    let server = serve(&db);
    let second = App::start(&db, &[]);
    let mut client = signed_in(&server);
    let csrf = client.form_token("/confirm");
    confirm_in_vain(&client, &csrf);
    let keys: Vec<_> = [&server, &second]
        .into_iter()
        .map(|node| {
            let mut own = node.client();
            own.cookies = client.cookies.clone();
            assert_eq!(own.get("/api/session").status, 200);
            parts_of(&own.cookies["aiq_session"])
        })
        .collect();
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn a_setup_sent_twice_is_one_account_and_one_session() {
    let db = TestDb::new(Engine::Sqlite);
    let server = App::start(&db, &[]);
    let token = server.setup_token();
    let mut browser = server.client();
    let csrf = browser.form_token(&format!("/setup?token={token}"));
    let send = |password: &str| {
        let mut own = browser.clone();
        let fields = [("csrf", csrf.as_str()), ("token", &token), ("email", KIM), ("password", password)];
        let answer = own.form("/setup", &fields);
        (answer.status, own)
    };
    let start = std::sync::Barrier::new(2);
    let pressed: Vec<(u16, Client)> = std::thread::scope(|scope| {
        let press = || {
            scope.spawn(|| {
                start.wait();
                send(PASSWORD)
            })
        };
        [press(), press()].into_iter().map(|press| press.join().expect("an answer")).collect()
    });
    let (status, mut last) = send(PASSWORD);
    assert_eq!((pressed[0].0, pressed[1].0, status), (303, 303, 303));
    assert!(pressed.iter().all(|(_, one)| one.cookies == last.cookies), "the same key");
    assert_eq!(send("another horse battery staple").0, 403, "not the password that was chosen");
    assert_eq!(last.get("/api/session").json()["user"]["email"], KIM);
    assert_eq!((count(&db, "accounts"), living(&db), count(&db, "devices")), (1, 1, 1));
    assert_eq!(kinds(&super::trail(&db)).iter().filter(|kind| *kind == "account.created").count(), 1);
    assert_eq!(send(PASSWORD).0, 403, "both the link and the key have been used");
}

#[test]
fn a_signup_sent_twice_is_one_account_and_one_session() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    let server = App::start(&db, &[("SESSILE_SIGNUP", "open")]);
    let mut browser = server.client();
    let csrf = browser.form_token("/signup");
    let send = || {
        let mut own = browser.clone();
        let fields = [("csrf", csrf.as_str()), ("email", ALEX), ("name", "Alex"), ("password", PASSWORD)];
        let answer = own.form("/signup", &fields);
        assert_eq!((answer.status, answer.header("location")), (303, Some("/dashboard")), "{answer:?}");
        own
    };
    let (first, mut second) = (send(), send());
    assert_eq!(first.cookies, second.cookies);
    assert_eq!(text(&second.get("/api/session").json()["user"]["email"]), ALEX);
    assert_eq!((count(&db, "accounts"), living(&db)), (2, 1));
}
