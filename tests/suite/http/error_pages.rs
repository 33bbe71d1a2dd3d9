//! Pages that say what went wrong: with the way on for whoever is signed in, and nothing wrong for a stranger.

use super::{KIM, serve, serve_https};
use crate::support::Server;

const NAVIGATION: &str = "<nav class=\"tabs\" aria-label=\"Main\">";

#[test]
fn whoever_is_signed_in_keeps_the_navigation() {
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
fn a_page_that_is_away_promises_nothing_to_strangers_and_comes_back() {
    let (db, server, mut kim) = serve_https(&[]);
    kim.log_in(KIM);
    drop(server);
    // Nobody answers there.
    let away = [("SESSILE_PUBLIC_URL", "https://id.example.com"), ("DATABASE_URL", "postgres://kim@127.0.0.1:1/none")];
    let server = Server::start(&db, &away);
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
    assert!(!sent.body.contains("http-equiv=\"refresh\""), "what was sent is not sent again by itself: {}", sent.body);
}
