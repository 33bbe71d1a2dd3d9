//! `/devices`, read and used without scripts.

use serde_json::json;

use super::{KIM, count, device_id, devices_form, leads_to, own_session, serve, session_id, signed_in};
use crate::support::{PASSWORD, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    each_device_has_a_card_with_its_sign_ins,
    a_name_is_changed_by_a_small_form,
    a_page_that_was_open_for_a_while_changes_nothing,
    the_page_says_when_there_is_only_one_device,
    the_dashboard_ends_a_sign_in_and_comes_back,
    a_browser_with_two_sessions_is_one_device,
    far_reaching_endings_ask_first,
    a_device_without_a_name_is_offered_one_after_signing_in,
    only_the_newest_sign_in_of_a_device_is_doubted,
    one_row_a_device_with_the_menu_closed,
}

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0";

async fn each_device_has_a_card_with_its_sign_ins(db: TestDb) {
    let server = serve(&db);
    let mut desk = server.client();
    let body = json!({"email": KIM, "password": PASSWORD, "device": {"name": "Shop counter", "installed": true}});
    let chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36";
    let headers = [
        ("Content-Type", "application/json"),
        ("User-Agent", chrome),
        ("Sec-CH-UA", "\"Chromium\";v=\"124\", \"Microsoft Edge\";v=\"124\", \"Not-A.Brand\";v=\"99\""),
        ("Sec-CH-UA-Platform", "\"Windows\""),
    ];
    assert_eq!(desk.send("POST", "/api/establish-session", &headers, body.to_string().as_bytes()).status, 200);
    assert_eq!(own_session(&mut desk)["client"]["browser"], "Edge");
    let mut other = server.client();
    let body = json!({"email": KIM, "password": PASSWORD}).to_string();
    let headers = [("Content-Type", "application/json"), ("User-Agent", FIREFOX)];
    other.send("POST", "/api/establish-session", &headers, body.as_bytes());
    let page = desk.get("/devices").body;
    for words in [
        "Shop counter",
        "This device",
        "App on Windows",
        "App · ",
        "Firefox on Linux",
        "127.0.0.1",
        "Sign out everywhere else",
        "Signed in",
        "Was it you?",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(page.contains(&format!("session:{}", session_id(&mut other))));
    assert!(
        !page.contains(&format!("session:{}", session_id(&mut desk))),
        "the current session is ended in the header"
    );
    other.json("DELETE", "/api/session", &serde_json::Value::Null);
    assert!(desk.get("/devices").body.contains("Signed in before"));
}

async fn a_name_is_changed_by_a_small_form(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let id = device_id(&mut desk);
    let answer = devices_form(&mut desk, &[("device", &id), ("name", " Till <1> ")]);
    leads_to(&answer, "/devices?done=renamed");
    let page = desk.get("/devices?done=renamed").body;
    assert!(page.contains("Till &#60;1&#62;") && page.contains("The new name is saved."), "{page}");
    assert_eq!(count(&db, "audit WHERE kind = 'device.renamed' AND device_name = 'Till <1>'"), 1);
    for odd in ["", "   ", &"x".repeat(61), "a\u{202E}b"] {
        let answer = devices_form(&mut desk, &[("device", &id), ("name", odd)]);
        assert_eq!(answer.status, 422, "{odd:?}");
        let page = &answer.body;
        assert!(page.contains(&format!("new-{id}-error")) && page.contains("Choose a name of 1 to 60"), "{page}");
        assert!(page.contains(&format!("value=\"{odd}\"")), "the input is kept: {page}");
    }
    assert_eq!(devices_form(&mut desk, &[]).status, 400);
}

async fn a_page_that_was_open_for_a_while_changes_nothing(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    signed_in(&server, KIM, "Phone");
    let stale = desk.form_token("/devices");
    desk.log_in(KIM);
    let answer = desk.form("/devices", &[("csrf", &stale), ("ending", "others")]);
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.body.contains("had been open for a while"));
    assert_eq!(count(&db, "sessions WHERE ended_at IS NULL"), 2);
}

async fn the_page_says_when_there_is_only_one_device(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let page = desk.get("/devices").body;
    assert!(page.contains("You are signed in on this device only.") && !page.contains("everywhere else"), "{page}");
    assert_eq!(server.client().get("/devices").header("location"), Some("/login?next=%2Fdevices"));
}

async fn the_dashboard_ends_a_sign_in_and_comes_back(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    let page = desk.get("/dashboard").body;
    let ending = format!("session:{}", session_id(&mut phone));
    assert!(page.contains(&ending) && page.contains("All devices") && page.contains("All activity"), "{page}");
    leads_to(&devices_form(&mut desk, &[("ending", &ending), ("next", "/dashboard")]), "/dashboard");
    assert!(!desk.get("/dashboard").body.contains(&ending));
}

async fn a_browser_with_two_sessions_is_one_device(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    // The browser loses its session cookie and signs in again.
    let mut again = phone.clone();
    again.cookies.retain(|name, _| name.contains("device"));
    again.log_in(KIM);
    assert_eq!(count(&db, "sessions WHERE ended_at IS NULL"), 3);
    let page = desk.get("/dashboard").body;
    assert!(page.contains(", and on one other. Nothing looks unusual."), "{page}");
    assert_eq!(page.matches("<b>Phone</b>").count(), 1, "{page}");
    let ending = format!("on-device:{}", device_id(&mut phone));
    assert!(page.contains(&ending), "{page}");
    leads_to(&devices_form(&mut desk, &[("ending", &ending), ("next", "/dashboard"), ("sure", "yes")]), "/dashboard");
    assert!(!super::is_signed_in(&mut phone) && !super::is_signed_in(&mut again));
    assert_eq!(count(&db, "devices WHERE forgotten_at IS NULL"), 2, "the device stays known");
    assert!(desk.get("/devices").body.contains("You are signed in on this device only."));
}

async fn far_reaching_endings_ask_first(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    let (here, there) = (device_id(&mut desk), device_id(&mut phone));
    let page = desk.get("/devices").body;
    let cases = [
        ("others".to_owned(), "Phone is signed out. This device stays signed in."),
        (format!("device:{there}"), "Remove Phone?"),
        (format!("device:{here}"), "changes that were not saved yet"),
    ];
    for (then, words) in &cases {
        assert!(page.contains(&format!("name=\"then\" value=\"{then}\"")), "{then}: {page}");
        let asked = desk.get(&format!("/confirm?then={then}&next=/devices")).body;
        assert!(asked.contains(words), "{then}: {asked}");
        assert!(asked.contains("action=\"/devices\"") && !asked.contains("name=\"password\""), "{then}: {asked}");
    }
    assert_eq!(count(&db, "sessions WHERE ended_at IS NULL"), 2, "asking ends nothing");
    super::let_confirmations_lapse(&db);
    for (then, words) in &cases {
        let asked = desk.get(&format!("/confirm?then={then}&next=/devices")).body;
        assert!(asked.contains(words) && asked.contains("name=\"password\""), "{then}: {asked}");
    }
}

async fn a_device_without_a_name_is_offered_one_after_signing_in(db: TestDb) {
    let server = serve(&db);
    let offer = "href=\"/devices?name=this\"";
    assert!(!signed_in(&server, KIM, "Desk").get("/dashboard").body.contains(offer), "it has a name");
    let mut desk = server.client();
    desk.log_in(KIM);
    assert_eq!(desk.get("/dashboard").body.matches(offer).count(), 1);
    let id = device_id(&mut desk);
    let page = desk.get("/devices?name=this").body;
    assert!(page.contains(&format!("id=\"menu-{id}\" open")), "{page}");
    leads_to(&devices_form(&mut desk, &[("device", &id), ("name", "Till")]), "/devices?done=renamed");
    assert!(!desk.get("/dashboard").body.contains(offer));
}

async fn only_the_newest_sign_in_of_a_device_is_doubted(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    for _ in 0..3 {
        phone.json("DELETE", "/api/session", &serde_json::Value::Null);
        phone.log_in(KIM);
    }
    let page = desk.get("/activity").body;
    assert_eq!(
        page.matches(&format!("not-me:{}", device_id(&mut phone))).count(),
        2,
        "the question and one event: {page}"
    );
    assert!(!page.contains(&format!("not-me:{}", device_id(&mut desk))), "{page}");
}

async fn one_row_a_device_with_the_menu_closed(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    let id = device_id(&mut phone);
    let page = desk.get("/devices").body;
    assert_eq!(page.matches("<li class=\"row device\"").count(), 2, "{page}");
    assert!(page.contains("It was me") && page.contains("This wasn't me"), "{page}");
    assert!(page.contains(&format!("id=\"menu-{id}\">")) && !page.contains("Signed in before"), "{page}");
    leads_to(&devices_form(&mut desk, &[("known", &id)]), "/devices?done=known");
    let page = desk.get("/devices").body;
    assert!(!page.contains("It was me"), "{page}");
    // The menu of another device still has the way out for a stranger's sign-in.
    assert!(page.contains(&format!("value=\"not-me:{id}\"")), "{page}");
}
