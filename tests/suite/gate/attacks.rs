//! What attackers try with codes, cookies, addresses and forwarding headers.

use sessile::{
    actions::apps::{
        checks::Changes,
        manage::{self, SecretOf},
        manager::Manager,
    },
    base::settings::PublicUrl,
};

use super::{
    ALEX, BLOG, Browser, FETCHES, HERE, KIM, NAVIGATES, SHOP, db_of_operator, going_on, path_of, register, serve, shop,
};
use crate::support::{App, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_code_is_spent_once,
    a_code_opens_no_other_app,
    a_code_opens_nothing_after_the_end_of_its_session,
    a_code_opens_nothing_after_a_minute,
    a_code_of_another_browser_opens_nothing,
    an_app_cookie_opens_no_other_app,
    an_app_cookie_with_another_secret_or_account_opens_nothing,
    a_target_at_another_origin_is_ignored,
    forwarding_headers_of_an_untrusted_client_are_ignored,
    a_wrong_missing_or_double_host_is_403,
    a_spent_code_leads_a_signed_in_browser_on,
    no_spelling_of_our_addresses_shows_our_own_pages_at_an_app,
    a_replaced_gate_token_stays_replaced_beside_other_changes,
}

async fn a_code_is_spent_once(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::signed_in(&server, &app, KIM);
    let code = path_of(&browser.begin("/a"), &app.origin);
    let mut thief = browser.clone();
    assert_eq!(browser.at_app(&code).status, 200);
    let again = thief.at_app(&code);
    assert_eq!((again.status, again.sets("__Host-sessile_app")), (410, None), "{again:?}");
    assert!(again.body.contains("/.sessile/start?to=/a\""), "{again:?}");
    assert_eq!(db.sql("SELECT count(*) FROM app_grants"), "1");
    for odd in ["", "x", "x.y", "%00", &"A".repeat(5000)] {
        assert_eq!(thief.at_app(&format!("/.sessile/done?code={odd}")).status, 410, "{odd}");
    }
}

async fn a_code_opens_no_other_app(db: TestDb) {
    add_user(&db, KIM, "owner");
    let shop = register(&db, SHOP, Default::default()).await;
    let blog = register(&db, BLOG, Default::default()).await;
    let server = serve(&db);
    let mut browser = Browser::signed_in(&server, &shop, KIM);
    let code = path_of(&browser.begin("/"), &shop.origin);
    // The attacker's app even knows the pending cookie.
    let mut elsewhere = Browser { at_app: browser.at_app.clone(), ..Browser::new(&server, &blog) };
    let answer = elsewhere.at_app(&code);
    assert_eq!((answer.status, answer.header("set-cookie")), (410, None), "{answer:?}");
    assert_eq!(browser.at_app(&code).status, 200, "the code was spent elsewhere");
}

async fn a_code_opens_nothing_after_the_end_of_its_session(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::signed_in(&server, &app, KIM);
    let code = path_of(&browser.begin("/"), &app.origin);
    assert_eq!(browser.sessile.send("DELETE", "/api/session", &[], b"").status, 204);
    assert_eq!(browser.at_app(&code).status, 410);
    assert_eq!(db.sql("SELECT count(*) FROM app_grants"), "0");
    let mut browser = Browser::signed_in(&server, &app, KIM);
    let code = path_of(&browser.begin("/"), &app.origin);
    db.sql("UPDATE sessions SET last_activity = INSTANT(-900), expires_at = INSTANT(-1) WHERE ended_at IS NULL");
    assert_eq!(browser.at_app(&code).status, 410);
}

async fn a_code_opens_nothing_after_a_minute(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::signed_in(&server, &app, KIM);
    let code = path_of(&browser.begin("/"), &app.origin);
    db.sql("UPDATE app_codes SET created_at = INSTANT(-61)");
    assert_eq!(browser.at_app(&code).status, 410);
    db.sql("UPDATE app_codes SET created_at = INSTANT(-50)");
    assert_eq!(browser.at_app(&code).status, 200);
}

async fn a_code_of_another_browser_opens_nothing(db: TestDb) {
    let (server, app) = shop(&db).await;
    // The attacker wants the victim to use the shop as the attacker.
    let mut attacker = Browser::signed_in(&server, &app, ALEX);
    let code = path_of(&attacker.begin("/"), &app.origin);
    let mut victim = Browser::signed_in(&server, &app, KIM);
    victim.at_app("/.sessile/start?to=/");
    let answer = victim.at_app(&code);
    assert_eq!((answer.status, answer.sets("__Host-sessile_app")), (410, None), "{answer:?}");
    // The attacker wants the victim's code: it is worth nothing without the attacker's pending cookie.
    let hash = going_on(&attacker.at_app("/.sessile/start?to=/"));
    let stolen = going_on(&victim.sessile.get(&path_of(&hash, HERE)));
    assert_eq!(victim.at_app(&path_of(&stolen, &app.origin)).status, 410);
    let mut signed_in = Browser::in_app(&server, &app, KIM);
    assert_eq!(going_on(&signed_in.at_app(&code)), "https://shop.example.com/", "stays who it is");
    assert_eq!(signed_in.ask(&FETCHES).header("x-sessile-email"), Some(KIM));
}

async fn an_app_cookie_opens_no_other_app(db: TestDb) {
    add_user(&db, KIM, "owner");
    let shop = register(&db, SHOP, Default::default()).await;
    let blog = register(&db, BLOG, Default::default()).await;
    let server = serve(&db);
    let browser = Browser::in_app(&server, &shop, KIM);
    let mut elsewhere = Browser { app: blog, ..browser.clone() };
    assert_eq!((elsewhere.ask(&FETCHES).status, elsewhere.ask(&NAVIGATES).status), (401, 303));
    assert_eq!(elsewhere.at_app("/.sessile/done?code=x").status, 410);
}

async fn an_app_cookie_with_another_secret_or_account_opens_nothing(db: TestDb) {
    let (server, app) = shop(&db).await;
    let (kim, mut alex) = (Browser::in_app(&server, &app, KIM), Browser::in_app(&server, &app, ALEX));
    assert_eq!(alex.ask(&FETCHES).status, 200);
    let parts = |browser: &Browser| browser.app_cookie().unwrap().split('.').map(str::to_owned).collect::<Vec<_>>();
    let (kim, own) = (parts(&kim), parts(&alex));
    for forged in [
        [&kim[0], &kim[1], &own[2]],
        [&kim[0], &own[1], &own[2]],
        [&own[0], &kim[1], &own[2]],
        [&own[0], &own[1], &kim[2]],
    ] {
        let forged = forged.map(String::as_str).join(".");
        alex.at_app.cookies.insert("__Host-sessile_app".to_owned(), forged.clone());
        assert_eq!(alex.ask(&FETCHES).status, 401, "{forged}");
    }
    let session = alex.sessile.cookies["__Host-aiq_session"].clone();
    alex.at_app.cookies.insert("__Host-sessile_app".to_owned(), session);
    assert_eq!(alex.ask(&FETCHES).status, 401);
}

async fn a_target_at_another_origin_is_ignored(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::signed_in(&server, &app, KIM);
    for to in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "evil",
    ] {
        assert_eq!(browser.open(to), "https://shop.example.com/", "{to}");
    }
    assert_eq!(browser.open("/a?to=https://evil.example/"), "https://shop.example.com/a?to=https://evil.example/");
    let quoted = browser.at_app("/.sessile/start?to=/%22%3E%3Cscript%3E");
    assert!(!quoted.body.contains("<script>"), "{quoted:?}");
}

async fn forwarding_headers_of_an_untrusted_client_are_ignored(db: TestDb) {
    let (trusting, app) = shop(&db).await;
    let browser = Browser::in_app(&trusting, &app, KIM);
    drop(trusting);
    let server = App::start(&db, &[("SESSILE_PUBLIC_URL", HERE), ("SESSILE_TRUSTED_PROXIES", "192.0.2.0/24")]);
    let mut browser = browser.at(&server);
    assert_eq!(browser.ask(&NAVIGATES).status, 403);
    assert_eq!(browser.at_app("/.sessile/start?to=/").status, 404);
    assert_eq!(browser.at_app("/.sessile/echo").status, 404);
}

async fn a_wrong_missing_or_double_host_is_403(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    let gate = format!("/.sessile/gate/{}", app.token);
    let rest = [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/"), NAVIGATES[0], NAVIGATES[1]];
    let mut ask = |named: &[(&str, &str)]| browser.at_app.send("GET", &gate, &[named, &rest[..]].concat(), b"");
    let (host, https) = (("x-forwarded-host", "shop.example.com"), ("x-forwarded-proto", "https"));
    assert_eq!(ask(&[host, https]).status, 200);
    assert_eq!(ask(&[("x-forwarded-host", "SHOP.example.com:443"), https]).status, 200);
    for named in [
        &[https][..],
        &[https, ("host", "shop.example.com")],
        &[host, host, https],
        &[("x-forwarded-host", "shop.example.com, shop.example.com"), https],
        &[("x-forwarded-host", "blog.example.com"), https],
        &[("x-forwarded-host", "id.example.com"), https],
        &[host, ("x-forwarded-proto", "http")],
        &[host],
    ] {
        let answer = ask(named);
        assert_eq!((answer.status, answer.header("location")), (403, None), "{named:?}: {answer:?}");
    }
}

async fn a_spent_code_leads_a_signed_in_browser_on(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::signed_in(&server, &app, KIM);
    let code = path_of(&browser.begin("/a?b"), &app.origin);
    assert_eq!(browser.at_app(&code).status, 200);
    let again = browser.at_app(&code);
    assert_eq!((again.status, going_on(&again).as_str()), (200, "https://shop.example.com/a?b"), "{again:?}");
    assert_eq!(again.header("set-cookie"), None, "{again:?}");
}

async fn no_spelling_of_our_addresses_shows_our_own_pages_at_an_app(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::signed_in(&server, &app, KIM);
    let cross_site = ("sec-fetch-site", "cross-site");
    for path in ["/%2esessile/start?to=/", "//.sessile/x", "/x/../.sessile/y", "/.SESSILE/x", "/%2esessile/gate/x"] {
        for proto in ["https", "http"] {
            let forwarded = [("x-forwarded-host", "shop.example.com"), ("x-forwarded-proto", proto)];
            let headers = [&forwarded[..], &NAVIGATES, &[cross_site, ("accept", "text/html")]].concat();
            let answer = browser.at_app.send("GET", path, &headers, b"");
            assert_eq!(answer.status, 404, "{path}: {answer:?}");
            for name in ["strict-transport-security", "set-cookie", "location"] {
                assert_eq!(answer.header(name), None, "{path}: {answer:?}");
            }
        }
    }
}

async fn a_replaced_gate_token_stays_replaced_beside_other_changes(db: TestDb) {
    let (server, app) = shop(&db).await;
    let public = PublicUrl::parse(HERE).unwrap();
    let mut browser = Browser::in_app(&server, &app, KIM);
    for round in 0..5 {
        let (one, other) = (db_of_operator(&db), db_of_operator(&db));
        let changes = Changes { name: Some(format!("Shop {round}")), ..Changes::default() };
        let (changed, token) = futures_util::future::join(
            manage::set(&one, &Manager::Operator, &public, &app.id, changes),
            manage::rotate(&other, &Manager::Operator, &app.id, SecretOf::Gate),
        )
        .await;
        changed.unwrap().unwrap();
        let old = std::mem::replace(&mut browser.app.token, token.unwrap().expose().to_owned());
        assert_eq!(browser.ask(&FETCHES).status, 200, "{round}");
        let now = std::mem::replace(&mut browser.app.token, old);
        assert_eq!(browser.ask(&FETCHES).status, 404, "{round}");
        browser.app.token = now;
    }
}
