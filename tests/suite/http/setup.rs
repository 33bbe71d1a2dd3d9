//! The one-time link that creates the owner.

use super::{KIM, assert_unharmed, count, kinds, trail};
use crate::support::{Answer, App, Client, Engine, PASSWORD, Server, TestDb, add_user, sessile};

fn unowned() -> (TestDb, App, String) {
    let db = TestDb::new(Engine::Sqlite);
    let server = App::start(&db, &[]);
    let token = server.setup_token();
    (db, server, token)
}

/// How many links still work.
fn good_links(db: &TestDb) -> usize {
    db.sql("SELECT count(*) FROM links WHERE used_at IS NULL AND expires_at > INSTANT(0)").parse().unwrap()
}

/// Opens the setup link and sends its form.
fn set_up(client: &mut Client, token: &str, email: &str, name: &str, password: &str) -> Answer {
    let csrf = client.form_token(&format!("/setup?token={token}"));
    let fields = [("csrf", csrf.as_str()), ("token", token), ("email", email), ("name", name), ("password", password)];
    client.form("/setup", &fields)
}

#[test]
fn the_link_creates_the_owner_and_signs_in() {
    let (db, server, token) = unowned();
    assert_eq!(token.len(), 43);
    for _ in 0..3 {
        let page = server.client().get(&format!("/setup?token={token}"));
        assert!(
            page.status == 200 && page.body.contains("action=\"/setup\""),
            "opening the link does not use it up: {page:?}"
        );
    }
    let mut client = server.client();
    let answer = set_up(&mut client, &token, "Kim@Example.com", "Kim Lee", PASSWORD);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/dashboard")), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let user = client.get("/api/session").json()["user"].clone();
    assert_eq!(
        (&user["email"], &user["name"], &user["role"]),
        (&"Kim@Example.com".into(), &"Kim Lee".into(), &"owner".into())
    );
    let expected = ["account.created", "login.succeeded", "device.new", "session.created"];
    assert_eq!(kinds(&trail(&db)), expected);

    let used = server.client().get(&format!("/setup?token={token}"));
    assert!(used.status == 403 && used.body.contains("This link has been used"), "{used:?}");
    let again =
        server.client().form("/setup", &[("token", &token), ("email", "b@example.com"), ("password", PASSWORD)]);
    assert!(matches!(again.status, 403 | 422), "{again:?}");
    let mut stranger = server.client();
    let csrf = stranger.form_token("/login");
    let fields = [("csrf", csrf.as_str()), ("token", &token), ("email", "b@example.com"), ("password", PASSWORD)];
    assert_eq!(stranger.form("/setup", &fields).status, 403);
    assert_eq!(count(&db, "accounts"), 1);
    assert_eq!(server.client().log_in(KIM).status, 200, "the chosen password works");
    drop(server);
    let server = App::start(&db, &[]);
    assert_eq!(server.client().get("/healthz").status, 200);
    assert_eq!(good_links(&db), 0, "no further link is created");
}

#[test]
fn without_an_owner_the_login_explains_the_setup_link() {
    let (_db, server, token) = unowned();
    let mut client = server.client();
    let page = client.get("/login");
    let begins = format!("http://localhost:{}/setup", server.port);
    assert!(page.body.contains("no owner yet") && page.body.contains(&begins), "{page:?}");
    assert!(!page.body.contains(&token), "the page must not show the link");
    assert_eq!(set_up(&mut server.client(), &token, "kim@example.com", "Kim", PASSWORD).status, 303);
    assert!(!client.get("/login").body.contains("no owner yet"));
}

#[test]
fn a_wrong_link_is_refused() {
    let (db, server, token) = unowned();
    let longer = format!("{token}x");
    for wrong in ["", "x", &token[..42], &longer, &token.to_lowercase(), "%00", "a".repeat(4000).as_str()] {
        let page = server.client().get(&format!("/setup?token={wrong}"));
        assert!(page.status == 403 && !page.body.contains("action=\"/setup\""), "{wrong:.60}: {page:?}");
    }
    assert_eq!(server.client().get("/setup").status, 403);
    let mut client = server.client();
    let csrf = client.form_token(&format!("/setup?token={token}"));
    for wrong in ["", "x", &longer] {
        let fields = [("csrf", csrf.as_str()), ("token", wrong), ("email", KIM), ("password", PASSWORD)];
        assert_eq!(client.form("/setup", &fields).status, 403, "{wrong}");
    }
    assert_eq!((count(&db, "accounts"), count(&db, "audit")), (0, 0));
    db.sql("UPDATE links SET expires_at = INSTANT(-1)");
    assert_eq!(server.client().get(&format!("/setup?token={token}")).status, 403, "the link expires after a day");
    let fields = [("csrf", csrf.as_str()), ("token", &token), ("email", KIM), ("password", PASSWORD)];
    assert_eq!(client.form("/setup", &fields).status, 403);
    assert_eq!(count(&db, "accounts"), 0);
}

#[test]
fn an_invalid_owner_form_is_shown_again() {
    let (db, server, token) = unowned();
    let (long_name, long_password) = ("n".repeat(81), "p".repeat(129));
    let wrong = [
        ("kim", "Kim Lee", PASSWORD),
        ("", "Kim Lee", PASSWORD),
        (KIM, "Kim Lee", "too short"),
        (KIM, "Kim Lee", ""),
        (KIM, "Kim Lee", &long_password),
        (KIM, &long_name, PASSWORD),
        ("kim@example.com\0", "Kim Lee", PASSWORD),
        ("kim", "Kim \u{7} Lee", "too short"),
    ];
    let mut client = server.client();
    for (email, name, password) in wrong {
        let answer = set_up(&mut client, &token, email, name, password);
        assert_eq!(answer.status, 422, "{email} {name} {password}: {answer:?}");
        for kept in [email, name, &token] {
            assert!(answer.body.contains(&format!("value=\"{kept}\"")), "{kept:?} in {answer:?}");
        }
        assert!(password.is_empty() || !answer.body.contains(&format!("\"{password}\"")), "{answer:?}");
        assert!(answer.body.contains("aria-invalid") && answer.sets("aiq_session").is_none(), "{answer:?}");
    }
    let stale = [("csrf", "stale"), ("token", &token), ("email", KIM), ("name", "Kim Lee"), ("password", PASSWORD)];
    let answer = client.form("/setup", &stale);
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!([KIM, "Kim Lee", &token].iter().all(|kept| answer.body.contains(&format!("value=\"{kept}\""))));
    assert!(!answer.body.contains(PASSWORD), "{answer:?}");
    assert_eq!(count(&db, "accounts"), 0);
    let fresh = answer.form_token();
    let fields = [("csrf", fresh.as_str()), ("token", &token), ("email", KIM), ("name", ""), ("password", PASSWORD)];
    assert_eq!(client.form("/setup", &fields).status, 303, "the link is still valid");
}

#[test]
fn an_address_that_is_taken_is_shown_again() {
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "member");
    let server = App::start(&db, &[]);
    let token = server.setup_token();
    let mut client = server.client();
    let answer = set_up(&mut client, &token, "KIM@example.com", "Kim Lee", "another horse battery staple");
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.body.contains("value=\"KIM@example.com\"") && answer.body.contains("already"), "{answer:?}");
    assert_eq!((count(&db, "accounts"), count(&db, "sessions")), (1, 0));
    assert_eq!(set_up(&mut client, &token, "boss@example.com", "", PASSWORD).status, 303);
    assert_eq!(db.sql("SELECT email FROM accounts WHERE role = 'owner'"), "boss@example.com");
}

#[test]
fn two_links_used_at_once_make_one_owner() {
    for same_link in [false, true] {
        let db = TestDb::new(Engine::Sqlite);
        let servers = [Server::start(&db, &[]), Server::start(&db, &[])];
        let mut tokens = [servers[0].setup_token(), servers[1].setup_token()];
        if same_link {
            tokens[1] = tokens[0].clone();
        }
        let start = std::sync::Barrier::new(2);
        let mut statuses: Vec<u16> = std::thread::scope(|scope| {
            let send = |at: usize| {
                let (mut client, token, start) = (servers[at].client(), &tokens[at], &start);
                scope.spawn(move || {
                    let email = format!("owner{at}@example.com");
                    let csrf = client.form_token(&format!("/setup?token={token}"));
                    let fields = [("csrf", csrf.as_str()), ("token", token), ("email", &email), ("password", PASSWORD)];
                    start.wait();
                    client.form("/setup", &fields).status
                })
            };
            let threads = [send(0), send(1)];
            threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 403]);
        assert_eq!((count(&db, "accounts"), count(&db, "sessions"), good_links(&db)), (1, 1, 0));
        assert_eq!(kinds(&trail(&db)).iter().filter(|kind| *kind == "account.created").count(), 1);
        servers.iter().for_each(assert_unharmed);
    }
}

#[test]
fn an_owner_made_by_the_command_uses_the_link_up() {
    let (db, server, token) = unowned();
    let args = ["user", "add", "--email", KIM, "--role", "owner", "--password-stdin"];
    assert!(sessile(&db, &args, PASSWORD).status.success());
    assert_eq!(server.client().get(&format!("/setup?token={token}")).status, 403);
}

#[test]
fn the_notice_of_the_right_address_hides_the_link_secret() {
    let (_db, server, token) = unowned();
    let page = server.client().send("GET", &format!("/setup?token={token}"), &[("Host", "other.example")], b"");
    assert!(page.body.contains(&format!("href=\"http://localhost:{}/\"", server.port)), "{page:?}");
    assert_eq!(page.body.matches(&token).count(), 1, "the secret is only in the form: {page:?}");
}
