//! What a change of password, address or second factor needs, and which level a session has.

use serde_json::json;

use super::{
    KIM, confirm, form, leads_to, let_confirmations_lapse, let_time_pass, level, needs_confirmation, serve, set_up,
    signed_in,
};
use crate::support::{PASSWORD, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_confirmation_with_a_code_raises_the_level_and_a_set_up_does_not,
    a_new_password_needs_the_second_factor,
    a_new_address_needs_the_second_factor,
    a_stolen_session_cannot_add_a_factor,
    a_password_alone_confirms_no_change_of_factors,
}

const NEW: &str = "purple limpets hum at noon";

async fn a_confirmation_with_a_code_raises_the_level_and_a_set_up_does_not(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    let (phone, _) = set_up(&mut kim);
    assert_eq!(level(&mut kim), (json!(1), json!(["pwd"])));
    let_time_pass(&db);
    leads_to(&confirm(&mut kim, ""), "/account/security");
    assert_eq!(level(&mut kim), (json!(1), json!(["pwd"])), "a password alone raises nothing");
    let wrong = confirm(&mut kim, &phone.wrong_code());
    assert!(wrong.status == 401 && wrong.body.contains("id=\"code-error\""), "{wrong:?}");
    assert_eq!(level(&mut kim).0, 1);
    let code = phone.code();
    leads_to(&confirm(&mut kim, &code), "/account/security");
    assert_eq!(level(&mut kim), (json!(2), json!(["pwd", "otp", "mfa"])));
    assert_eq!(confirm(&mut kim, &code).status, 401, "a code confirms once");
    let page = kim.get("/confirm?level=2&next=/account/security");
    assert!(page.body.contains("name=\"level\" value=\"2\""), "{}", page.body);
    let fields = [("csrf", page.form_token()), ("password", PASSWORD.to_owned()), ("level", "2".to_owned())];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(kim.form("/confirm", &fields).status, 422, "the level needs a code");
}

async fn a_new_password_needs_the_second_factor(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    assert!(kim.get("/account").body.contains("name=\"current_password\""));
    let (phone, _) = set_up(&mut kim);
    let page = kim.get("/account?why=not-me").body;
    assert!(!page.contains("name=\"current_password\""), "{page}");
    assert!(page.contains("/confirm?level=2&#38;next=%2Faccount%3Fwhy%3Dnot-me"), "{page}");
    let fields = [("current_password", PASSWORD), ("password", NEW)];
    leads_to(&form(&mut kim, "/account", &fields), "/confirm?level=2&next=%2Faccount");
    leads_to(&form(&mut kim, "/account", &[("name", "Kim")]), "/account?done=name");
    let_time_pass(&db);
    leads_to(&confirm(&mut kim, &phone.code()), "/account/security");
    assert!(kim.get("/account").body.contains("name=\"current_password\""));
    leads_to(
        &form(&mut kim, "/account", &[("current_password", PASSWORD), ("password", NEW)]),
        "/account?done=password",
    );
    // A new password takes nothing from the second factor that was given.
    assert_eq!(kim.json("POST", "/api/second-factor/recovery-codes", &json!({})).status, 200);
}

async fn a_new_address_needs_the_second_factor(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    let (phone, _) = set_up(&mut kim);
    leads_to(&kim.get("/account/email"), "/confirm?level=2&next=%2Faccount%2Femail");
    let fields = [("new_email", "kim.lee@example.com"), ("current_password", PASSWORD)];
    let with_address = "/confirm?level=2&next=%2Faccount%2Femail%3Fnew_email%3Dkim.lee%2540example.com";
    leads_to(&form(&mut kim, "/account/email", &fields), with_address);
    let own = db.sql("SELECT id FROM accounts");
    let patch = json!({"email": "kim.lee@example.com"});
    needs_confirmation(&kim.json("PATCH", &format!("/api/people/{own}"), &patch));
    assert_eq!(db.sql("SELECT email FROM accounts"), KIM);
    let_time_pass(&db);
    leads_to(&confirm(&mut kim, &phone.code()), "/account/security");
    let page = kim.get("/account/email?new_email=kim.lee%40example.com");
    assert!(page.status == 200 && page.body.contains("value=\"kim.lee@example.com\""), "{page:?}");
    leads_to(&form(&mut kim, "/account/email", &[("new_email", "kim.lee@example.com")]), "/account?done=email");
    assert_eq!(db.sql("SELECT email FROM accounts"), "kim.lee@example.com");
}

async fn a_stolen_session_cannot_add_a_factor(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    let mut thief = kim.clone();
    let_confirmations_lapse(&db);
    let to_confirm = "/confirm?level=2&next=%2Faccount%2Fsecurity%2Fapp";
    leads_to(&thief.get("/account/security/app"), to_confirm);
    leads_to(&form(&mut thief, "/account/security/app", &[("code", "000000")]), to_confirm);
    needs_confirmation(&thief.json("POST", "/api/second-factor/app", &json!({})));
    needs_confirmation(&thief.json("PUT", "/api/second-factor/app", &json!({"code": "000000"})));
    // Its owner adds one. The thief's copy of the session cannot remove it, nor make codes.
    kim.log_in(KIM);
    let (phone, _) = set_up(&mut kim);
    let_time_pass(&db);
    assert_eq!(super::log_in_with(&mut kim, PASSWORD, &phone.code()).status, 200);
    thief.cookies = kim.cookies.clone();
    let_confirmations_lapse(&db);
    needs_confirmation(&thief.json("DELETE", "/api/second-factor/app", &json!({})));
    needs_confirmation(&thief.json("POST", "/api/second-factor/recovery-codes", &json!({})));
    assert_eq!(super::count(&db, "totp_apps"), 1);
}

async fn a_password_alone_confirms_no_change_of_factors(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    let (phone, codes) = set_up(&mut kim);
    let_time_pass(&db);
    leads_to(&confirm(&mut kim, ""), "/account/security");
    needs_confirmation(&kim.json("DELETE", "/api/second-factor/app", &json!({})));
    leads_to(&confirm(&mut kim, &codes[0]), "/account/security");
    assert_eq!(kim.json("POST", "/api/second-factor/recovery-codes", &json!({})).status, 200);
    let_confirmations_lapse(&db);
    leads_to(&confirm(&mut kim, &phone.code()), "/account/security");
    assert_eq!(kim.json("DELETE", "/api/second-factor/app", &json!({})).status, 204);
}
