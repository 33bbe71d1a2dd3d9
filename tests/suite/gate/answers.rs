//! What the gate answers: status, headers, and to whom.

use sessile::actions::apps::{
    checks::Changes,
    manage::{self, SecretOf},
    manager::Manager,
};

use super::{
    Browser, FETCHES, HERE, KIM, NAVIGATES, Registered, SHOP, db_of_operator, identity_of, is_sober, register, serve,
    shop,
};
use crate::support::{App, TestDb, add_user, eventually, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_navigation_without_a_sign_in_goes_to_the_start_of_the_app,
    everything_else_without_a_sign_in_is_401,
    the_answer_to_a_signed_in_request_is_complete,
    an_unknown_token_is_404_whatever_else_is_sent,
    a_disabled_app_is_403_until_it_is_enabled,
    an_app_that_observes_refuses_nobody_and_counts,
    a_preflight_passes_only_where_it_may,
    a_request_counts_as_activity_unless_a_page_sent_it_alone,
    half_of_the_cookies_time_leads_to_a_renewal,
    a_database_that_is_away_is_503_and_no_logout,
    a_replaced_token_of_an_observed_app_is_404_without_the_cache_too,
    neither_token_nor_code_is_in_metrics,
}

async fn a_navigation_without_a_sign_in_goes_to_the_start_of_the_app(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::new(&server, &app);
    for headers in [&NAVIGATES[..], &[("accept", "text/html")]] {
        let answer = browser.ask(headers);
        assert_eq!(answer.status, 303, "{answer:?}");
        assert_eq!(answer.header("location"), Some("https://shop.example.com/.sessile/start?to=/a%3Fb%3Dc"));
        is_sober(&answer);
    }
    let answer = browser.ask_about("HEAD", "//evil.example/", &NAVIGATES);
    assert_eq!(answer.header("location"), Some("https://shop.example.com/.sessile/start?to=/"));
}

async fn everything_else_without_a_sign_in_is_401(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::new(&server, &app);
    let own = ("sec-fetch-site", "same-origin");
    for (method, headers) in [
        ("GET", &FETCHES[..]),
        ("GET", &[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")]),
        ("GET", &[("accept", "*/*")]),
        ("GET", &[("sec-fetch-mode", "websocket"), ("origin", SHOP)]),
        ("POST", &[own, FETCHES[0], FETCHES[1]]),
        ("POST", &[]),
    ] {
        let answer = browser.ask_about(method, "/a", headers);
        assert_eq!((answer.status, answer.problem().as_str()), (401, "login-required"), "{method} {headers:?}");
        is_sober(&answer);
        for read in ["Cookie", "X-Requested-With", "X-Forwarded-Proto", "X-Original-URL", "Upgrade"] {
            assert!(answer.header("vary").unwrap_or_default().contains(read), "{read} in {answer:?}");
        }
    }
    let form = browser.ask_about("POST", "/a", &[own, NAVIGATES[0], NAVIGATES[1]]);
    assert_eq!(form.status, 401);
    assert!(form.body.contains("nothing is lost") && form.body.contains("target=\"_blank\""), "{form:?}");
    let frame = browser.ask(&[NAVIGATES[0], ("sec-fetch-dest", "iframe")]);
    assert_eq!(frame.status, 401);
    assert!(frame.body.contains("/.sessile/start?to=/a%3Fb%3Dc\" target=\"_top\""), "{frame:?}");
    assert!(frame.header("content-security-policy").unwrap().contains("frame-ancestors 'self'"));
    assert_eq!(frame.header("referrer-policy"), Some("no-referrer"));
    [form, frame].iter().for_each(is_sober);
}

async fn the_answer_to_a_signed_in_request_is_complete(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    for headers in [&NAVIGATES[..], &FETCHES] {
        let answer = browser.ask(headers);
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{answer:?}");
        let names: Vec<&str> = identity_of(&answer).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 7, "{names:?}");
        assert!(answer.header("vary").unwrap().contains("Cookie"));
        is_sober(&answer);
    }
    let gate = format!("/.sessile/gate/{}?whatever=1&to=x", app.token);
    let asked = [
        ("x-forwarded-host", "shop.example.com"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-method", "DELETE"),
        ("x-forwarded-uri", "/a"),
        ("sec-fetch-site", "same-origin"),
    ];
    for method in ["GET", "POST", "DELETE", "PROPFIND"] {
        assert_eq!(browser.at_app.send(method, &gate, &asked, b"").status, 200, "{method}");
    }
    db.sql("UPDATE sessions SET ended_at = INSTANT(0), ended_reason = 'revoked'");
    assert_eq!(browser.ask(&FETCHES).status, 401);
    assert_eq!(browser.ask(&NAVIGATES).status, 303);
}

async fn an_unknown_token_is_404_whatever_else_is_sent(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    let other = Registered { token: "A".repeat(43), ..app.clone() };
    for token in [other.token.as_str(), "x", "%00", &app.secret, &app.id] {
        browser.app.token = token.to_owned();
        let answer = browser.ask(&NAVIGATES);
        assert_eq!(answer.status, 404, "{token}: {answer:?}");
    }
    let new = manage::rotate(&db_of_operator(&db), &Manager::Operator, &app.id, manage::SecretOf::Gate).await.unwrap();
    browser.app.token = app.token.clone();
    assert_eq!(browser.ask(&NAVIGATES).status, 404, "the old token still works");
    browser.app.token = new.expose().to_owned();
    assert_eq!(browser.ask(&NAVIGATES).status, 200);
}

async fn a_disabled_app_is_403_until_it_is_enabled(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    let operator = db_of_operator(&db);
    manage::disable(&operator, &Manager::Operator, &app.id).await.unwrap();
    let (page, problem) = (browser.ask(&NAVIGATES), browser.ask(&FETCHES));
    assert_eq!((page.status, problem.status, problem.problem().as_str()), (403, 403, "forbidden"));
    assert!(page.body.contains("Shop is closed"), "{page:?}");
    assert_eq!(browser.at_app("/.sessile/start?to=/").status, 404);
    assert_eq!(browser.sessile.get(&format!("/apps/{}/open", app.id)).status, 404);
    assert_eq!(browser.sessile.get("/api/apps").json()["apps"], serde_json::json!([]));
    manage::enable(&operator, &Manager::Operator, &app.id).await.unwrap();
    assert_eq!(browser.ask(&NAVIGATES).status, 200);
    manage::remove(&operator, &Manager::Operator, &app.id).await.unwrap();
    assert_eq!(browser.ask(&NAVIGATES).status, 404);
}

async fn an_app_that_observes_refuses_nobody_and_counts(db: TestDb) {
    add_user(&db, KIM, "owner");
    let app = register(&db, SHOP, Changes { observe: Some(true), ..Changes::default() }).await;
    let server = serve(&db);
    let mut browser = Browser::new(&server, &app);
    for headers in [&NAVIGATES[..], &FETCHES, &[("origin", "https://evil.example")]] {
        let answer = browser.ask_about("POST", "/", headers);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(identity_of(&answer).len() == 7 && identity_of(&answer).iter().all(|(_, value)| value.is_empty()));
    }
    let mut person = Browser::in_app(&server, &app, KIM);
    let answer = person.ask(&NAVIGATES);
    assert!(answer.header("x-sessile-user").unwrap().starts_with("acc_"), "{answer:?}");
    let noted = "SELECT refused || ' ' || (last_used_at IS NOT NULL) FROM apps";
    eventually("the counts are written", async || ["3 1", "3 true"].contains(&db.sql(noted).as_str())).await;
}

async fn a_preflight_passes_only_where_it_may(db: TestDb) {
    add_user(&db, KIM, "owner");
    let shop = register(&db, SHOP, Changes::default()).await;
    let open = Changes { allow_preflight: Some(true), ..Changes::default() };
    let blog = register(&db, super::BLOG, open).await;
    let server = serve(&db);
    let preflight = [("origin", "https://other.example"), ("access-control-request-method", "PUT")];
    assert_eq!(Browser::new(&server, &shop).ask_about("OPTIONS", "/api", &preflight).status, 401);
    let answer = Browser::new(&server, &blog).ask_about("OPTIONS", "/api", &preflight);
    assert_eq!((answer.status, answer.header("x-sessile-user")), (200, Some("")), "{answer:?}");
    assert_eq!(Browser::new(&server, &blog).ask_about("OPTIONS", "/api", &[]).status, 401);
}

async fn a_request_counts_as_activity_unless_a_page_sent_it_alone(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    assert_eq!(browser.ask(&FETCHES).status, 200);
    db.sql("UPDATE sessions SET last_activity = INSTANT(-600)");
    let aged = db.sql("SELECT last_activity FROM sessions");
    assert_eq!(browser.ask(&[("x-unattended", "1"), FETCHES[0], FETCHES[1]]).status, 200);
    for _ in 0..3 {
        assert_eq!(browser.ask(&FETCHES).status, 200);
    }
    eventually("the touch is written", async || db.sql("SELECT last_activity FROM sessions") != aged).await;
    // Near its end the touch is written before the answer.
    db.sql("UPDATE sessions SET last_activity = INSTANT(-600), expires_at = INSTANT(30)");
    assert_eq!(browser.ask(&FETCHES).status, 200);
    assert_eq!(db.sql("SELECT count(*) FROM sessions WHERE expires_at > INSTANT(3600)"), "1");
}

async fn half_of_the_cookies_time_leads_to_a_renewal(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    db.sql("UPDATE app_grants SET created_at = INSTANT(-130000)");
    db.sql("UPDATE sessions SET authenticated_at = authenticated_at");
    assert_eq!(browser.ask(&FETCHES).status, 200);
    assert_eq!(browser.ask(&NAVIGATES).status, 303);
    assert_eq!(browser.open("/a?b=c"), "https://shop.example.com/a?b=c");
    assert_eq!(browser.ask(&NAVIGATES).status, 200);
    assert!(browser.sessile.get("/api/session").status == 200);
}

async fn a_database_that_is_away_is_503_and_no_logout(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    assert_eq!(browser.ask(&NAVIGATES).status, 200);
    db.sql("ALTER TABLE app_grants RENAME TO elsewhere");
    db.sql("ALTER TABLE sessions RENAME TO sessions_elsewhere");
    for headers in [&NAVIGATES[..], &FETCHES] {
        let answer = browser.ask(headers);
        assert_eq!((answer.status, answer.problem().as_str()), (503, "unavailable"), "{answer:?}");
        assert!(answer.header("retry-after").is_some());
        is_sober(&answer);
    }
    db.sql("ALTER TABLE elsewhere RENAME TO app_grants");
    db.sql("ALTER TABLE sessions_elsewhere RENAME TO sessions");
    assert_eq!(browser.ask(&NAVIGATES).status, 200);
}

async fn neither_token_nor_code_is_in_metrics(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    assert_eq!(browser.ask(&NAVIGATES).status, 200);
    let metrics = server.client().get("/metrics").body;
    assert!(metrics.contains("/.sessile/gate/{token}") && metrics.contains("/.sessile/done"), "{metrics}");
    assert!(!metrics.contains(&app.token) && !metrics.contains("code="));
}

async fn a_replaced_token_of_an_observed_app_is_404_without_the_cache_too(db: TestDb) {
    add_user(&db, KIM, "owner");
    let app = register(&db, SHOP, Changes { observe: Some(true), ..Changes::default() }).await;
    let proxied = [("SESSILE_PUBLIC_URL", HERE), ("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32")];
    let server = App::start(&db, &[&proxied[..], &[("SESSILE_SESSION_CACHE", "off")]].concat());
    let mut browser = Browser::signed_in(&server, &app, KIM);
    // The server reads all apps for this list, and keeps them.
    assert_eq!(browser.sessile.get("/api/apps").status, 200);
    assert_eq!(browser.ask(&FETCHES).status, 200);
    manage::rotate(&db_of_operator(&db), &Manager::Operator, &app.id, SecretOf::Gate).await.unwrap();
    assert_eq!(browser.ask(&FETCHES).status, 404);
}
