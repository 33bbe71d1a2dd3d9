//! Opening an app: from the gate's redirect to the app's cookie.

use super::{ALEX, BLOG, Browser, FETCHES, HERE, KIM, NAVIGATES, going_on, path_of, register, serve, shop};
use crate::support::{PASSWORD, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_signed_in_browser_gets_in_without_a_password,
    a_visitor_signs_in_and_goes_on_to_the_app,
    a_second_app_needs_no_password_and_has_a_cookie_of_its_own,
    the_cookie_outlives_a_new_session_key,
    after_a_new_sign_in_one_silent_round_is_enough,
    two_tabs_open_the_app_at_once,
    a_link_on_our_own_pages_opens_the_app,
    a_head_request_spends_nothing,
    a_browser_without_cookies_is_told_so,
    a_browser_that_loses_the_apps_cookie_is_told_so_after_two_rounds,
    signing_out_at_the_app_leads_to_one_button_for_everything,
    another_account_goes_on_to_the_address_in_the_app,
    a_sign_out_goes_on_to_our_own_origin_only,
    the_first_opening_in_a_session_is_recorded,
    the_grants_of_a_session_are_bounded,
    the_list_of_apps_has_what_the_person_may_open,
    nothing_of_it_exists_on_our_own_origin,
}

async fn a_signed_in_browser_gets_in_without_a_password(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::signed_in(&server, &app, KIM);
    let start = browser.at_app("/.sessile/start?to=%2Fa%3Fb%3Dc");
    let pending = start.sets("__Host-sessile_pending").unwrap().to_owned();
    assert!(pending.contains("HttpOnly; SameSite=Lax; Secure; Path=/"), "{pending}");
    assert_eq!((start.status, start.header("strict-transport-security")), (200, None));
    let open = going_on(&start);
    let value = pending.split_once('=').unwrap().1.split('.').next().unwrap();
    assert!(open.starts_with(&format!("{HERE}/apps/{}/open?n=", app.id)) && !open.contains(value), "{open}");
    let opened = browser.sessile.get(&path_of(&open, HERE));
    assert!(
        opened.status == 200 && opened.sets("__Host-aiq_session").is_some(),
        "the visit renews the cookie: {opened:?}"
    );
    let done = browser.at_app(&path_of(&going_on(&opened), &app.origin));
    assert_eq!((done.status, going_on(&done).as_str()), (200, "https://shop.example.com/a?b=c"));
    let cookie = done.sets("__Host-sessile_app").unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=34560000"), "{cookie}");
    assert_eq!((done.header("strict-transport-security"), done.header("cache-control")), (None, Some("no-store")));
    assert_eq!(done.all("set-cookie").count(), 2, "{done:?}");
    let kept = db.sql("SELECT count(*) FROM app_grants");
    assert_eq!(kept, "1");
    let secret = browser.app_cookie().unwrap().rsplit('.').next().unwrap().to_owned();
    assert!(secret.len() == 43 && browser.ask(&NAVIGATES).status == 200);
}

async fn a_visitor_signs_in_and_goes_on_to_the_app(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::new(&server, &app);
    let start = browser.at_app("/.sessile/start?to=%2Fa%3Fb%3Dc");
    let opened = browser.sessile.get(&path_of(&going_on(&start), HERE));
    assert_eq!(opened.status, 303, "{opened:?}");
    let login = opened.header("location").unwrap().to_owned();
    let form = browser.sessile.get(&login);
    assert!(form.body.contains("Sign in to go on to Shop"), "{form:?}");
    let next =
        form.body.split("name=\"next\" value=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&");
    let fields =
        [("csrf", form.form_token()), ("email", KIM.to_owned()), ("password", PASSWORD.to_owned()), ("next", next)];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let signed_in = browser.sessile.form("/login", &fields);
    assert_eq!(signed_in.status, 303, "{signed_in:?}");
    let opened = browser.sessile.get(signed_in.header("location").unwrap());
    let done = browser.at_app(&path_of(&going_on(&opened), &app.origin));
    assert_eq!(going_on(&done), "https://shop.example.com/a?b=c");
    assert_eq!(browser.ask(&NAVIGATES).status, 200);
}

async fn a_second_app_needs_no_password_and_has_a_cookie_of_its_own(db: TestDb) {
    add_user(&db, KIM, "owner");
    let shop = register(&db, super::SHOP, Default::default()).await;
    let blog = register(&db, BLOG, Default::default()).await;
    let server = serve(&db);
    let mut at_shop = Browser::in_app(&server, &shop, KIM);
    let mut at_blog = Browser { sessile: at_shop.sessile.clone(), ..Browser::new(&server, &blog) };
    assert_eq!(at_blog.open("/x"), "https://blog.example.com/x");
    assert_ne!(at_shop.app_cookie(), at_blog.app_cookie());
    assert_eq!((at_shop.ask(&NAVIGATES).status, at_blog.ask(&NAVIGATES).status), (200, 200));
    let id = at_blog.session_id();
    assert_eq!(at_blog.sessile.send("DELETE", "/api/session", &[], b"").status, 204, "{id}");
    assert_eq!((at_shop.ask(&FETCHES).status, at_blog.ask(&FETCHES).status), (401, 401));
}

async fn the_cookie_outlives_a_new_session_key(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    let (began, sid) = (browser.session_id(), browser.ask(&FETCHES).header("x-sessile-session").unwrap().to_owned());
    assert_eq!(began, sid);
    for _ in 0..2 {
        browser.sessile.log_in(KIM);
        assert_ne!(browser.session_id(), began);
        let answer = browser.ask(&FETCHES);
        assert_eq!((answer.status, answer.header("x-sessile-session")), (200, Some(sid.as_str())), "{answer:?}");
    }
    // A session that a node of an earlier version began gets its name with the first app.
    let mut other = Browser::signed_in(&server, &app, ALEX);
    let began = other.session_id();
    db.sql(&format!("UPDATE sessions SET sid = NULL WHERE id = '{began}'"));
    other.open("/");
    other.sessile.log_in(ALEX);
    assert_eq!(other.ask(&FETCHES).header("x-sessile-session"), Some(began.as_str()));
}

async fn after_a_new_sign_in_one_silent_round_is_enough(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    assert_eq!(browser.sessile.send("DELETE", "/api/session", &[], b"").status, 204);
    assert_eq!(browser.ask(&NAVIGATES).status, 303);
    browser.sessile.log_in(KIM);
    assert_eq!(browser.ask(&NAVIGATES).status, 303);
    assert_eq!(browser.open("/a"), "https://shop.example.com/a");
    assert_eq!(browser.ask(&NAVIGATES).status, 200);
}

async fn two_tabs_open_the_app_at_once(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::signed_in(&server, &app, KIM);
    let (one, two) = (browser.begin("/one"), browser.begin("/two"));
    let mut other_tab = browser.clone();
    let one = browser.at_app(&path_of(&one, &app.origin));
    let two = other_tab.at_app(&path_of(&two, &app.origin));
    assert_eq!(
        (going_on(&one).as_str(), going_on(&two).as_str()),
        ("https://shop.example.com/one", "https://shop.example.com/two")
    );
    // Whichever cookie the browser keeps is good.
    assert_eq!((browser.ask(&NAVIGATES).status, other_tab.ask(&NAVIGATES).status), (200, 200));
}

async fn a_link_on_our_own_pages_opens_the_app(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::signed_in(&server, &app, KIM);
    for path in [format!("/apps/{}/open", app.id), format!("/apps/{}/open?n=short&to=//evil.example", app.id)] {
        assert_eq!(going_on(&browser.sessile.get(&path)), "https://shop.example.com/.sessile/start?to=/");
    }
    assert_eq!(browser.sessile.get("/apps/app_unknown/open").status, 404);
}

async fn a_head_request_spends_nothing(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::signed_in(&server, &app, KIM);
    let begun = path_of(&browser.begin("/"), &app.origin);
    let open = format!("/apps/{}/open?n={}", app.id, "A".repeat(43));
    assert_eq!(browser.sessile.send("HEAD", &open, &[], b"").status, 200);
    assert_eq!(db.sql("SELECT count(*) FROM app_codes"), "1");
    let head = browser.send_at_app("HEAD", &begun);
    assert_eq!((head.status, head.header("set-cookie")), (200, None), "{head:?}");
    let start = browser.send_at_app("HEAD", "/.sessile/start?to=/");
    assert_eq!((start.status, start.header("set-cookie")), (200, None), "{start:?}");
    assert_eq!(browser.at_app(&begun).status, 200);
    assert!(browser.app_cookie().is_some());
}

async fn a_browser_without_cookies_is_told_so(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::signed_in(&server, &app, KIM);
    let begun = path_of(&browser.begin("/"), &app.origin);
    browser.at_app.cookies.clear();
    let done = browser.at_app(&begun);
    assert_eq!((done.status, done.header("location"), done.header("set-cookie")), (410, None, None), "{done:?}");
    assert!(done.body.contains("Allow cookies") && !done.body.contains("http-equiv"), "{done:?}");
}

async fn a_browser_that_loses_the_apps_cookie_is_told_so_after_two_rounds(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::signed_in(&server, &app, KIM);
    for _ in 0..2 {
        assert_eq!(browser.open("/"), "https://shop.example.com/");
        browser.at_app.cookies.remove("__Host-sessile_app");
        assert_eq!(browser.ask(&NAVIGATES).status, 303);
    }
    let start = browser.at_app("/.sessile/start?to=/");
    assert_eq!(start.status, 400, "{start:?}");
    assert!(start.body.contains("does not keep the cookie") && !start.body.contains("http-equiv"), "{start:?}");
    assert_eq!(browser.open("/"), "https://shop.example.com/", "the link tries again");
}

async fn signing_out_at_the_app_leads_to_one_button_for_everything(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    let to = going_on(&browser.at_app("/.sessile/sign-out"));
    let page = browser.sessile.get(&path_of(&to, HERE));
    assert!(page.status == 200 && page.body.contains("Sign out everywhere in this browser"), "{page:?}");
    assert_eq!(browser.ask(&NAVIGATES).status, 200, "opening the page signed out");
    assert_eq!(browser.sessile.form("/logout", &[("csrf", &page.form_token())]).status, 303);
    assert_eq!(browser.ask(&NAVIGATES).status, 303);
    assert_eq!(browser.sessile.get(&path_of(&to, HERE)).header("location"), Some("/login?done=signed-out"));
}

async fn another_account_goes_on_to_the_address_in_the_app(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    let to = going_on(&browser.at_app("/.sessile/sign-out?to=/orders/7%3Fsort%3Ddate"));
    let page = browser.sessile.get(&path_of(&to, HERE));
    assert!(page.status == 200 && page.body.contains("Use another account?"), "{page:?}");
    let next = page.value_of("next");
    let stale = browser.sessile.form("/logout", &[("csrf", "x"), ("next", &next)]);
    assert_eq!(
        (stale.status, stale.value_of("next")),
        (422, next.clone()),
        "the page asks again, and keeps the address"
    );
    let left = browser.sessile.form("/logout", &[("csrf", &stale.form_token()), ("next", &next)]);
    let login = left.header("location").expect("an address").to_owned();
    assert!(left.status == 303 && login.ends_with("&done=signed-out"), "{left:?}");
    let page = browser.sessile.get(&login);
    assert!(page.body.contains("Sign in to go on to Shop") && page.body.contains("You are signed out."), "{page:?}");
    assert_eq!(page.value_of("next"), next);
    let sent =
        [("csrf", page.form_token()), ("email", ALEX.to_owned()), ("password", PASSWORD.to_owned()), ("next", next)];
    let sent: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let signed_in = browser.sessile.form("/login", &sent);
    let open = browser.sessile.get(signed_in.header("location").expect("an address"));
    assert!(going_on(&open).ends_with("/.sessile/start?to=/orders/7%3Fsort%3Ddate"), "{open:?}");
    // Without a sign-in, the page has nothing to end.
    let login = Browser::new(&server, &app).sessile.get(&path_of(&to, HERE));
    let location = login.header("location").expect("an address");
    assert!(location.starts_with("/login?next=%2Fapps%2F") && location.contains("orders"), "{location}");
}

async fn a_sign_out_goes_on_to_our_own_origin_only(db: TestDb) {
    let (server, app) = shop(&db).await;
    for next in ["https://evil.example/", "//evil.example/", "/\\evil.example"] {
        let mut browser = Browser::signed_in(&server, &app, KIM);
        let csrf = browser.sessile.form_token("/account");
        let left = browser.sessile.form("/logout", &[("csrf", &csrf), ("next", next)]);
        assert_eq!(left.header("location"), Some("/login?done=signed-out"), "{next}");
    }
}

async fn the_first_opening_in_a_session_is_recorded(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    browser.open("/");
    assert_eq!(
        db.sql("SELECT kind || ' ' || detail FROM audit WHERE kind LIKE 'app.%' AND account_id <> ''"),
        "app.opened Shop"
    );
    let events = browser.sessile.get("/api/activity").json();
    assert_eq!(events["events"][0]["kind"], "app.opened");
    assert_eq!(browser.sessile.get("/activity").status, 200);
}

async fn the_grants_of_a_session_are_bounded(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    let mut old = browser.clone();
    assert_eq!(old.ask(&FETCHES).status, 200);
    for _ in 0..7 {
        browser.open("/");
    }
    assert_eq!(db.sql("SELECT count(*) FROM app_grants"), "4");
    assert_eq!((old.ask(&FETCHES).status, browser.ask(&FETCHES).status), (401, 200));
    for _ in 0..200 {
        browser.begin("/");
    }
    assert_eq!(db.sql("SELECT count(*) FROM app_codes"), "200");
}

async fn the_list_of_apps_has_what_the_person_may_open(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::signed_in(&server, &app, KIM);
    let apps = browser.sessile.get("/api/apps").json();
    assert_eq!(apps, serde_json::json!({"apps": [{"id": app.id, "name": "Shop", "url": "https://shop.example.com"}]}));
    assert_eq!(Browser::new(&server, &app).sessile.get("/api/apps").status, 401);
}

async fn nothing_of_it_exists_on_our_own_origin(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::signed_in(&server, &app, KIM);
    for path in [
        "/.sessile/start?to=/",
        "/.sessile/done?code=x",
        "/.sessile/sign-out",
        "/.sessile/echo",
        "/.sessile/",
        "/.sessile/x",
    ] {
        assert_eq!(browser.sessile.get(path).status, 404, "{path}");
        let own = [("x-forwarded-host", "id.example.com"), ("x-forwarded-proto", "https")];
        assert_eq!(browser.sessile.send("GET", path, &own, b"").status, 404, "{path}");
    }
    let at_app = browser.at_app("/.sessile/x");
    assert_eq!((at_app.status, at_app.header("strict-transport-security")), (404, None), "{at_app:?}");
}
