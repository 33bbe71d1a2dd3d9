//! Apps that ask for a second factor, and people who must have one.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sessile::actions::apps::{checks::Changes, manage, manager::Manager};

use super::{
    Browser, FETCHES, HERE, KIM, NAVIGATES, Registered, SHOP, db_of_operator, going_on, path_of, register, serve,
};
use crate::{
    factor_rule::{confirm_at, give_app, log_in_with, new_code},
    support::{Answer, App, TestDb, add_user, on_both_engines_and_citus},
};

on_both_engines_and_citus! {
    an_app_tells_how_the_person_signed_in,
    a_session_without_a_second_factor_is_led_through_a_confirmation,
    whoever_has_none_is_led_to_the_set_up_and_on,
    the_switch_takes_effect_with_the_next_request_on_every_node,
    whoever_must_have_one_is_not_let_in_without,
    the_removal_of_the_second_factor_ends_what_was_opened,
}

fn asking() -> Changes {
    Changes { require_second_factor: Some(true), ..Changes::default() }
}

async fn set(db: &TestDb, app: &Registered, on: bool) {
    let changes = Changes { require_second_factor: Some(on), ..Changes::default() };
    let public = sessile::base::settings::PublicUrl::parse(HERE).unwrap();
    manage::set(&db_of_operator(db), &Manager::Operator, &public, &app.id, changes).await.unwrap().unwrap();
}

/// The claims of the assertion that the app gets.
fn claims(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    let assertion = answer.header("x-sessile-assertion").unwrap_or_else(|| panic!("{answer:?}"));
    let payload = assertion.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// Where Sessile leads a browser that wants to open the app.
fn led_to(browser: &mut Browser) -> String {
    let start = browser.at_app("/.sessile/start?to=%2Fa");
    let opened = browser.sessile.get(&path_of(&going_on(&start), HERE));
    assert_eq!(opened.status, 303, "{opened:?}");
    opened.header("location").unwrap().to_owned()
}

fn is_not_let_in(browser: &mut Browser) {
    let answer = browser.ask(&NAVIGATES);
    let start = format!("{SHOP}/.sessile/start?to=/a%3Fb%3Dc");
    assert_eq!((answer.status, answer.header("location")), (303, Some(start.as_str())), "{answer:?}");
    let answer = browser.ask(&FETCHES);
    assert_eq!((answer.status, answer.problem().as_str()), (401, "login-required"), "{answer:?}");
    let answer = browser.ask_about("POST", "/", &[("origin", SHOP), FETCHES[0]]);
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(answer.header("x-sessile-assertion"), None);
}

async fn an_app_tells_how_the_person_signed_in(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let app = register(&db, SHOP, Changes::default()).await;
    let server = serve(&db);
    let mut browser = Browser::in_app(&server, &app, KIM);
    assert_eq!(claims(&browser.ask(&FETCHES))["amr"], json!(["pwd"]));
    give_app(&db, &kim).await;
    let mut browser = Browser::new(&server, &app);
    assert_eq!(log_in_with(&mut browser.sessile, KIM, &new_code(&db)).status, 200);
    browser.open("/");
    assert_eq!(claims(&browser.ask(&FETCHES))["amr"], json!(["pwd", "otp", "mfa"]));
}

async fn a_session_without_a_second_factor_is_led_through_a_confirmation(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let app = register(&db, SHOP, asking()).await;
    let server = serve(&db);
    // Signed in before there was a second factor.
    let mut browser = Browser::signed_in(&server, &app, KIM);
    give_app(&db, &kim).await;
    is_not_let_in(&mut browser);
    let confirm = led_to(&mut browser);
    let again = confirm.strip_prefix("/confirm?level=2&next=").unwrap_or_else(|| panic!("{confirm}"));
    assert!(again.starts_with("%2Fapps%2F"), "{confirm}");
    // A password alone does not do.
    let shown = browser.sessile.get(&confirm);
    let fields =
        [("csrf", shown.form_token()), ("password", crate::support::PASSWORD.to_owned()), ("level", "2".into())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(browser.sessile.form("/confirm", &fields).status, 422);
    let confirmed = confirm_at(&mut browser.sessile, &confirm, &new_code(&db));
    assert_eq!(confirmed.status, 303, "{confirmed:?}");
    let opened = browser.sessile.get(confirmed.header("location").unwrap());
    let done = browser.at_app(&path_of(&going_on(&opened), SHOP));
    assert_eq!(going_on(&done), format!("{SHOP}/a"));
    assert_eq!(claims(&browser.ask(&NAVIGATES))["amr"], json!(["pwd", "otp", "mfa"]));
}

async fn whoever_has_none_is_led_to_the_set_up_and_on(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let app = register(&db, SHOP, asking()).await;
    let server = serve(&db);
    let mut browser = Browser::signed_in(&server, &app, KIM);
    is_not_let_in(&mut browser);
    let set_up = led_to(&mut browser);
    let next = set_up.strip_prefix("/account/security?next=").unwrap_or_else(|| panic!("{set_up}"));
    give_app(&db, &kim).await;
    // The set-up raised no level, so the code is asked for.
    let next: String = percent_encoding::percent_decode_str(next).decode_utf8().unwrap().into_owned();
    let opened = browser.sessile.get(&next);
    assert!(opened.header("location").unwrap().starts_with("/confirm?level=2&next="), "{opened:?}");
    // Whoever the app does not admit is told so, and not to set up anything.
    let admit = Some(vec!["role:member".to_owned()]);
    let public = sessile::base::settings::PublicUrl::parse(HERE).unwrap();
    let changes = Changes { admit, ..Changes::default() };
    manage::set(&db_of_operator(&db), &Manager::Operator, &public, &app.id, changes).await.unwrap().unwrap();
    assert_eq!(browser.sessile.get(&next).status, 403);
}

async fn the_switch_takes_effect_with_the_next_request_on_every_node(db: TestDb) {
    let (server, app) = super::shop(&db).await;
    let other = serve(&db);
    let mut browser = Browser::in_app(&server, &app, KIM);
    let mut elsewhere = browser.at(&other);
    for _ in 0..3 {
        assert_eq!((browser.ask(&FETCHES).status, elsewhere.ask(&FETCHES).status), (200, 200));
        set(&db, &app, true).await;
        is_not_let_in(&mut browser);
        is_not_let_in(&mut elsewhere);
        set(&db, &app, false).await;
    }
}

async fn whoever_must_have_one_is_not_let_in_without(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let app = register(&db, SHOP, Changes::default()).await;
    let before = serve(&db);
    let browser = Browser::in_app(&before, &app, KIM);
    drop(before);
    let more = [("SESSILE_PUBLIC_URL", HERE), ("SESSILE_TRUSTED_PROXIES", "127.0.0.1/32")];
    let server = App::start(&db, &[&more[..], &[("SESSILE_SECOND_FACTOR", "everyone")]].concat());
    let mut browser = browser.at(&server);
    is_not_let_in(&mut browser);
    assert!(led_to(&mut browser).starts_with("/account/security?next=%2Fapps%2F"));
    give_app(&db, &kim).await;
    assert_eq!(claims(&browser.ask(&FETCHES))["amr"], json!(["pwd"]));
    browser.open("/");
}

async fn the_removal_of_the_second_factor_ends_what_was_opened(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    give_app(&db, &kim).await;
    let app = register(&db, SHOP, asking()).await;
    let server = serve(&db);
    let mut browser = Browser::new(&server, &app);
    assert_eq!(log_in_with(&mut browser.sessile, KIM, &new_code(&db)).status, 200);
    browser.open("/");
    assert_eq!(browser.ask(&FETCHES).status, 200);
    let reset = crate::support::command(&db, &[]).args(["user", "reset-second-factor", KIM]).output().unwrap();
    assert!(reset.status.success(), "{reset:?}");
    assert_eq!(browser.ask(&FETCHES).status, 401);
    browser.sessile.log_in(KIM);
    assert!(led_to(&mut browser).starts_with("/account/security?next="));
}
