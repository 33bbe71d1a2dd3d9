//! Unsafe requests and upgrades need to come from the app's own pages.

use sessile::actions::apps::checks::Changes;

use super::{Browser, KIM, NAVIGATES, SHOP, register, serve, shop};
use crate::support::{TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_foreign_origin_is_refused_on_unsafe_requests_and_upgrades,
    the_switch_of_the_app_accepts_other_origins,
    the_original_headers_are_read_where_the_usual_ones_are_missing,
}

const SOCKET: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");

async fn a_foreign_origin_is_refused_on_unsafe_requests_and_upgrades(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    let (evil, own) = (("origin", "https://evil.example"), ("origin", SHOP));
    let site = |site| ("sec-fetch-site", site);
    for (method, headers) in [
        ("POST", &[site("cross-site")][..]),
        ("POST", &[site("same-site"), own]),
        ("PUT", &[evil]),
        ("DELETE", &[("origin", "null")]),
        ("GET", &[SOCKET, evil]),
        ("GET", &[("upgrade", "websocket"), evil]),
        ("POST", &[]),
        ("GET", &[SOCKET]),
        ("BREW", &[]),
    ] {
        let answer = browser.ask_about(method, "/a", headers);
        assert_eq!((answer.status, answer.problem().as_str()), (403, "cross-origin"), "{method} {headers:?}");
        super::is_sober(&answer);
    }
    for (method, headers) in [
        ("GET", &[site("cross-site"), NAVIGATES[0], NAVIGATES[1]][..]),
        ("HEAD", &[evil]),
        ("POST", &[site("same-origin")]),
        ("POST", &[own]),
        ("GET", &[SOCKET, own]),
    ] {
        assert_eq!(browser.ask_about(method, "/a", headers).status, 200, "{method} {headers:?}");
    }
    // A foreign origin is refused whoever is signed in.
    assert_eq!(Browser::new(&server, &app).ask_about("POST", "/a", &[evil]).status, 403);
}

async fn the_switch_of_the_app_accepts_other_origins(db: TestDb) {
    add_user(&db, KIM, "owner");
    let app = register(&db, SHOP, Changes { allow_cross_site: Some(true), ..Changes::default() }).await;
    let server = serve(&db);
    let mut browser = Browser::in_app(&server, &app, KIM);
    for headers in [&[("origin", "https://evil.example")][..], &[("sec-fetch-site", "cross-site")], &[SOCKET], &[]] {
        assert_eq!(browser.ask_about("POST", "/a", headers).status, 200, "{headers:?}");
    }
    assert_eq!(Browser::new(&server, &app).ask_about("POST", "/a", &[]).status, 401);
}

async fn the_original_headers_are_read_where_the_usual_ones_are_missing(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::new(&server, &app);
    let gate = format!("/.sessile/gate/{}", app.token);
    let host = [("x-forwarded-host", "shop.example.com"), ("x-forwarded-proto", "https"), NAVIGATES[0], NAVIGATES[1]];
    let mut ask = |more: &[(&str, &str)]| browser.at_app.send("GET", &gate, &[&host[..], more].concat(), b"");
    let original = [("x-original-method", "GET"), ("x-original-url", "https://shop.example.com/a?b")];
    assert_eq!(ask(&original).header("location"), Some("https://shop.example.com/.sessile/start?to=/a%3Fb"));
    let both = [&original[..], &[("x-forwarded-method", "POST"), ("x-forwarded-uri", "/c"), ("origin", SHOP)]].concat();
    assert_eq!(ask(&both).status, 401, "a client made up the original headers");
    assert_eq!(ask(&[("origin", SHOP)]).status, 401, "without a method it is no navigation");
}
