//! Error pages: a signed-in person keeps the navigation, and a stranger's page does not mention sessions.

use super::{KIM, serve, serve_https, serve_process};
use crate::support::App;

const NAVIGATION: &str = "<nav class=\"tabs\" aria-label=\"Main\">";

#[test]
fn error_pages_keep_the_navigation_when_signed_in() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    let stranger = client.get("/nothing-here");
    assert_eq!(stranger.status, 404);
    assert!(stranger.body.contains("Page not found") && !stranger.body.contains(NAVIGATION), "{}", stranger.body);
    client.log_in(KIM);
    for path in ["/nothing-here", "/confirm?then=nonsense"] {
        let page = client.get(path);
        assert_eq!(page.status, 404, "{path}");
        assert!(page.body.contains(NAVIGATION) && page.body.contains("action=\"/logout\""), "{path}: {}", page.body);
        assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
    }
}

#[test]
fn the_code_of_an_error_page_finds_the_lines_of_its_request() {
    for format in ["text", "json"] {
        let (db, server) = serve_process(&[("SESSILE_LOG_FORMAT", format)]);
        let mut client = server.client();
        client.get("/login");
        let gone = client.get("/nothing-here");
        client.log_in(KIM);
        db.sql("ALTER TABLE sessions RENAME TO elsewhere");
        let failed = client.get("/dashboard");
        assert_eq!((gone.status, failed.status), (404, 503));
        let (_, log) = server.stopped();
        for (page, least) in [(gone, 1), (failed, 2)] {
            let id = page.header("x-request-id").expect("an id");
            let (_, rest) = page.body.split_once("data-copy=\"").expect("a code");
            let code = rest.split('"').next().expect("its end");
            assert_eq!((code.len(), code.find('-')), (7, Some(2)), "{code}");
            assert!(page.body.contains(&format!("<code>{code}</code>")) && !page.body.contains(id), "{}", page.body);
            let lines: Vec<&str> = log.lines().filter(|line| line.contains(code)).collect();
            assert!(lines.len() >= least && lines.iter().all(|line| line.contains(id)), "{code} {id}: {log}");
        }
        let login = log.lines().find(|line| line.contains("/login") && line.contains("answered")).expect("a line");
        assert!(!login.contains("code"), "{login}");
    }
}

#[test]
fn an_unavailable_page_reloads_and_reveals_no_session() {
    let (db, server, mut kim) = serve_https(&[]);
    kim.log_in(KIM);
    drop(server);
    // Nothing listens at this address.
    let away = [("SESSILE_PUBLIC_URL", "https://id.example.com"), ("DATABASE_URL", "postgres://kim@127.0.0.1:1/none")];
    let server = App::start(&db, &away);
    let mut client = crate::support::Client::new(&server.address, "https://id.example.com");
    let stranger = client.get("/dashboard");
    assert_eq!(stranger.status, 503, "{stranger:?}");
    assert!(stranger.body.contains("Please try again in a minute."), "{}", stranger.body);
    assert!(!stranger.body.contains("signed out") && !stranger.body.contains(NAVIGATION), "{}", stranger.body);
    client.cookies = kim.cookies;
    let page = client.get("/dashboard");
    assert_eq!(page.status, 503, "{page:?}");
    assert!(page.body.contains("You are not signed out.") && page.body.contains(NAVIGATION), "{}", page.body);
    for answer in [stranger, page] {
        assert!(
            answer.body.contains("http-equiv=\"refresh\"") && answer.body.contains("/js/return."),
            "{}",
            answer.body
        );
    }
    let sent = client.form("/confirm", &[("password", "x")]);
    assert!(!sent.body.contains("http-equiv=\"refresh\""), "a form is not sent again automatically: {}", sent.body);
}

#[test]
fn a_request_refused_for_its_size_keeps_the_navigation() {
    let (_db, server) = serve(&[]);
    let mut client = server.client();
    client.log_in(KIM);
    let large = "x".repeat(300 * 1024);
    let form = [("Content-Type", "application/x-www-form-urlencoded"), ("Sec-Fetch-Site", "same-origin")];
    let body = client.send("POST", "/drafts", &form, large.as_bytes());
    let head = client.send("GET", "/dashboard", &[("X-Long", &large[..20 * 1024])], b"");
    for (answer, status) in [(body, 413), (head, 431)] {
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains(NAVIGATION), "{}", answer.body);
    }
}

#[test]
fn a_form_sent_during_an_outage_comes_back() {
    let (db, server, mut kim) = serve_https(&[("SESSILE_SIGNUP", "open")]);
    kim.log_in(KIM);
    let token = kim.form_token("/drafts?draft=new");
    drop(server);
    let away = [("SESSILE_PUBLIC_URL", "https://id.example.com"), ("DATABASE_URL", "postgres://kim@127.0.0.1:1/none")];
    let server = App::start(&db, &away);
    let mut client = crate::support::Client::new(&server.address, "https://id.example.com");
    client.cookies = kim.cookies;
    let draft = [
        ("csrf", token.as_str()),
        ("operation", "op"),
        ("draft", "d"),
        ("base", "3"),
        ("text", "\nTwo <b> lines\r\nof it"),
    ];
    let page = client.form("/drafts", &draft);
    let bare = page.body.clone();
    assert_eq!((page.status, page.header("retry-after")), (503, Some("2")), "{page:?}");
    for part in [
        &format!("name=\"csrf\" value=\"{token}\""),
        "name=\"operation\" value=\"op\"",
        "name=\"draft\" value=\"d\"",
        "name=\"base\" value=\"3\"",
        "name=\"text\" rows=\"12\" spellcheck=\"true\">\n\nTwo &#60;b&#62; lines\r\nof it</textarea>",
        "You are not signed out. Nothing that you typed is lost: send it again in a minute.",
        "Send again</button>",
    ] {
        assert!(bare.contains(part), "{part}: {bare}");
    }
    assert!(!bare.contains("loads again by itself") && !bare.contains("password"), "{bare}");
    let name = client.form("/account", &[("csrf", &token), ("name", "Kim \"K\" Lee")]).body;
    assert!(name.contains("value=\"Kim &#34;K&#34; Lee\"") && !name.contains("password"), "{name}");
    let logout = client.form("/logout", &[("csrf", &token)]);
    assert!(logout.status == 503 && logout.body.contains("Send it again in a minute."), "{logout:?}");
    client.cookies.clear();
    let secret = "barnacles hold fast 42";
    let page =
        client.form("/signup", &[("csrf", "t"), ("name", "Alex"), ("email", "alex@example.com"), ("password", secret)]);
    assert_eq!(page.status, 503, "{page:?}");
    assert!(page.body.contains("value=\"Alex\"") && page.body.contains("value=\"alex@example.com\""), "{page:?}");
    assert!(page.body.contains("type your password again") && page.body.contains("name=\"password\""), "{page:?}");
    assert!(!page.body.contains(secret) && !page.body.contains("signed out"), "{page:?}");
    // A form from another site is not shown, and a program gets no form.
    let elsewhere = [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", "https://evil.example")];
    let page = client.send("POST", "/drafts", &elsewhere, b"text=planted");
    assert!(page.status == 503 && !page.body.contains("planted") && !page.body.contains("<textarea"), "{page:?}");
}
