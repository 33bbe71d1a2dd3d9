//! Ending sessions by a form. A single sign-in ends at once if the password was given in the last ten minutes.
//! Everything else goes through the confirmation page, which then does what was requested.

use super::{
    KIM, count, device_id, devices_form, form, is_signed_in, leads_to, let_confirmations_lapse, own_session, serve,
    session_id, signed_in,
};
use crate::support::{Client, PASSWORD, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    within_ten_minutes_of_a_password_an_ending_is_immediate,
    ending_several_sign_ins_always_asks_for_confirmation,
    after_ten_minutes_an_ending_needs_the_password,
    a_wrong_password_ends_nothing_and_keeps_the_request,
    wasnt_me_forgets_the_device_and_asks_for_a_new_password,
    a_stolen_sessions_new_id_does_not_save_it,
    confirming_the_end_of_the_current_session_signs_out,
    ending_the_current_session_clears_the_cache,
    an_ended_session_can_end_nothing,
    two_devices_that_forget_each_other_at_once_stay_consistent,
}

fn confirm(client: &mut Client, password: &str, then: &str, next: &str) -> crate::support::Answer {
    form(client, "/confirm", &[("password", password), ("then", then), ("next", next)])
}

async fn within_ten_minutes_of_a_password_an_ending_is_immediate(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    let ending = format!("session:{}", session_id(&mut phone));
    leads_to(&devices_form(&mut desk, &[("ending", &ending)]), "/devices?done=signed-out");
    assert!(!is_signed_in(&mut phone));
    leads_to(&devices_form(&mut desk, &[("ending", &ending), ("next", "/dashboard")]), "/dashboard");
    assert_eq!(count(&db, "audit WHERE kind = 'session.revoked'"), 1, "a double click ends the session once");
    phone.log_in(KIM);
    leads_to(&devices_form(&mut desk, &[("ending", "others"), ("sure", "yes")]), "/devices?done=others");
    assert!(!is_signed_in(&mut phone) && is_signed_in(&mut desk));
    let device = format!("device:{}", {
        phone.log_in(KIM);
        device_id(&mut phone)
    });
    leads_to(
        &devices_form(&mut desk, &[("ending", &device), ("next", "//evil.example"), ("sure", "yes")]),
        "/devices?done=forgotten",
    );
    assert!(!is_signed_in(&mut phone));
    assert_eq!(count(&db, "devices"), 1);
    assert!(desk.get("/devices?done=forgotten").body.contains("signed out and removed"));
}

async fn ending_several_sign_ins_always_asks_for_confirmation(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    let device = device_id(&mut phone);
    let endings = [
        (format!("not-me:{device}"), "It wasn&#39;t me", "/devices"),
        (format!("not-me:{}", session_id(&mut phone)), "It wasn&#39;t me", "/devices"),
        (format!("on-device:{device}"), "Sign out Phone?", "/dashboard"),
        (format!("device:{device}"), "Remove Phone?", "/devices"),
        ("others".to_owned(), "Sign out everywhere else?", "/devices"),
    ];
    for (ending, words, back) in endings {
        let asked = devices_form(&mut desk, &[("ending", &ending), ("next", "/dashboard")]);
        let address = asked.header("location").expect("an address").to_owned();
        assert!(asked.status == 303 && address.starts_with("/confirm?then="), "{ending}: {asked:?}");
        let page = desk.get(&address).body;
        assert!(page.contains(words) && page.contains("name=\"sure\""), "{ending}: {page}");
        assert!(page.contains(&format!("href=\"{back}\">Cancel")), "{ending}: {page}");
        assert!(!page.contains("/logout"), "the page has only the confirmation form: {page}");
        assert!(is_signed_in(&mut phone), "{ending}");
    }
}

async fn after_ten_minutes_an_ending_needs_the_password(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "My phone");
    let id = session_id(&mut phone);
    let_confirmations_lapse(&db);
    let answer = devices_form(&mut desk, &[("ending", &format!("session:{id}"))]);
    let address = format!("/confirm?then=session%3A{id}&next=%2Fdevices%3Fdone%3Dsigned-out");
    leads_to(&answer, &address);
    assert!(is_signed_in(&mut phone));
    let page = desk.get(&address);
    assert!(page.body.contains("Sign out My phone?"), "{}", page.body);
    let before = session_id(&mut desk);
    let answer = confirm(&mut desk, PASSWORD, &format!("session:{id}"), "/devices?done=signed-out");
    leads_to(&answer, "/devices?done=signed-out");
    assert!(!is_signed_in(&mut phone) && is_signed_in(&mut desk));
    assert_ne!(session_id(&mut desk), before);
    leads_to(&devices_form(&mut desk, &[("ending", "others"), ("sure", "yes")]), "/devices?done=others");
    assert_eq!(count(&db, "audit WHERE kind = 'login.confirmed'"), 1);
}

async fn a_wrong_password_ends_nothing_and_keeps_the_request(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    let_confirmations_lapse(&db);
    let answer = confirm(&mut desk, "a wrong password 1", "others", "/devices");
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(
        answer.body.contains("value=\"others\"")
            && answer.body.contains("Phone is signed out. This device stays signed in."),
        "{}",
        answer.body
    );
    assert!(is_signed_in(&mut phone));
    for odd in ["others:", "device:dev_nothing", "session:aiq_1_nothing", "x"] {
        assert_eq!(desk.get(&format!("/confirm?then={odd}")).status, 404, "{odd}");
        assert_eq!(confirm(&mut desk, PASSWORD, odd, "/devices").status, 404, "{odd}");
    }
    assert_eq!(count(&db, "audit WHERE kind = 'login.confirmed'"), 0);
}

async fn wasnt_me_forgets_the_device_and_asks_for_a_new_password(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut thief = signed_in(&server, KIM, "Elsewhere");
    let id = session_id(&mut thief);
    leads_to(&devices_form(&mut desk, &[("ending", &format!("not-me:{id}")), ("sure", "yes")]), "/account?why=not-me");
    assert!(!is_signed_in(&mut thief));
    assert_eq!(count(&db, "devices"), 1, "the device is deleted with its own count of wrong passwords");
    assert!(desk.get("/account?why=not-me").body.contains("choose a new one now"));
    // The same through the confirmation page, for the device.
    thief.log_in(KIM);
    let device = device_id(&mut thief);
    let_confirmations_lapse(&db);
    let answer = devices_form(&mut desk, &[("ending", &format!("not-me:{device}"))]);
    leads_to(&answer, &format!("/confirm?then=not-me%3A{device}&next=%2Faccount%3Fwhy%3Dnot-me"));
    leads_to(&confirm(&mut desk, PASSWORD, &format!("not-me:{device}"), ""), "/account?why=not-me");
    assert!(!is_signed_in(&mut thief) && is_signed_in(&mut desk));
}

/// The session's id changes when the thief types the stolen password, but the device stays the same.
async fn a_stolen_sessions_new_id_does_not_save_it(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut thief = signed_in(&server, KIM, "Elsewhere");
    let page = desk.get("/activity").body;
    let (_, rest) = page.split_once("name=\"ending\" value=\"not-me:").expect("a button");
    let ending = format!("not-me:{}", rest.split('"').next().expect("a value"));
    leads_to(&confirm(&mut thief, PASSWORD, "", "/devices"), "/devices");
    leads_to(&devices_form(&mut desk, &[("ending", &ending), ("sure", "yes")]), "/account?why=not-me");
    assert!(!is_signed_in(&mut thief));
}

async fn confirming_the_end_of_the_current_session_signs_out(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let_confirmations_lapse(&db);
    let id = session_id(&mut desk);
    let gone = confirm(&mut desk, PASSWORD, &format!("session:{id}"), "/devices");
    // The browser knows the session by the id in its pages, not by its id after the confirmation.
    leads_to(&gone, &format!("/login?ended={id}"));
    assert!(desk.get(&format!("/login?ended={id}")).body.contains(&format!("data-ended=\"{id}\"")));
    for address in ["/login", "/login?ended=", "/login?ended=%22%3E"] {
        assert!(!desk.get(address).body.contains("data-ended"), "{address}");
    }
    assert_eq!(gone.header("clear-site-data"), Some("\"cache\""));
    assert!(!desk.cookies.contains_key("aiq_session"));
    desk.log_in(KIM);
    let device = format!("device:{}", device_id(&mut desk));
    let id = session_id(&mut desk);
    let_confirmations_lapse(&db);
    leads_to(&confirm(&mut desk, PASSWORD, &device, "/devices"), &format!("/login?ended={id}"));
    assert_eq!(count(&db, "sessions WHERE ended_at IS NULL"), 0);
    assert_eq!(count(&db, "devices WHERE forgotten_at IS NULL"), 0);
}

async fn ending_the_current_session_clears_the_cache(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let ways = [("sessions", "id"), ("devices", "deviceId")];
    for (what, name) in ways {
        let path = format!("/api/{what}/{}", own_session(&mut desk)[name].as_str().unwrap());
        let answer = desk.json("DELETE", &path, &serde_json::Value::Null);
        assert_eq!((answer.status, answer.header("clear-site-data")), (204, Some("\"cache\"")), "{answer:?}");
        desk.log_in(KIM);
    }
    let mut phone = signed_in(&server, KIM, "Phone");
    let path = format!("/api/sessions/{}", session_id(&mut phone));
    assert_eq!(desk.json("DELETE", &path, &serde_json::Value::Null).header("clear-site-data"), None, "another's");
    // "Wasn't me" leads to a new password.
    let id = session_id(&mut desk);
    let answer = devices_form(&mut desk, &[("ending", &format!("not-me:{id}")), ("sure", "yes")]);
    leads_to(&answer, &format!("/login?next=%2Faccount%3Fwhy%3Dnot-me&ended={id}"));
    assert_eq!(answer.header("clear-site-data"), Some("\"cache\""));
}

async fn an_ended_session_can_end_nothing(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    let csrf = desk.form_token("/devices");
    let id = session_id(&mut desk);
    leads_to(&devices_form(&mut phone, &[("ending", &format!("session:{id}"))]), "/devices?done=signed-out");
    let answer = desk.form("/devices", &[("csrf", &csrf), ("ending", "others")]);
    leads_to(&answer, "/login");
    assert!(is_signed_in(&mut phone));
}

async fn two_devices_that_forget_each_other_at_once_stay_consistent(db: TestDb) {
    let server = serve(&db);
    for _ in 0..10 {
        let mut pair = [signed_in(&server, KIM, "One"), signed_in(&server, KIM, "Other")];
        let devices: Vec<String> =
            pair.iter_mut().map(|client| own_session(client)["deviceId"].as_str().unwrap().to_owned()).collect();
        let paths = [format!("/api/devices/{}", devices[1]), format!("/api/devices/{}", devices[0])];
        let answers: Vec<u16> = std::thread::scope(|scope| {
            let threads: Vec<_> = pair
                .iter_mut()
                .zip(&paths)
                .map(|(client, path)| scope.spawn(|| client.json("DELETE", path, &serde_json::Value::Null).status))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(answers == [204, 401] || answers == [401, 204], "{answers:?}");
        let alive: Vec<bool> = pair.iter_mut().map(is_signed_in).collect();
        assert_eq!(alive, [answers[0] == 204, answers[1] == 204]);
    }
}
