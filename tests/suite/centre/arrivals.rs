//! A sign-in from a device not seen before is shown on every page of the account's other devices, until one of them answers.

use super::{KIM, count, device_id, devices_form, is_signed_in, leads_to, serve, signed_in};
use crate::support::{Client, TestDb, on_both_engines};

on_both_engines! {
    every_page_of_the_other_devices_asks_about_a_new_one_until_one_answers,
    a_device_cannot_answer_for_itself,
    new_devices_do_not_answer_for_one_another_while_a_known_one_is_signed_in,
    where_no_known_device_is_signed_in_a_new_one_may_answer,
    the_answer_that_it_was_not_me_ends_it,
    a_device_that_comes_again_is_not_new,
}

const PAGES: [&str; 4] = ["/dashboard", "/devices", "/activity", "/account"];

fn asks(client: &mut Client, about: &str) -> Vec<&'static str> {
    let words = format!("New sign-in: {about},");
    PAGES.into_iter().filter(|page| client.get(page).body.contains(&words)).collect()
}

async fn every_page_of_the_other_devices_asks_about_a_new_one_until_one_answers(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    assert_eq!(asks(&mut desk, "Desk"), [""; 0], "the first one is nobody else's");
    let mut phone = signed_in(&server, KIM, "Phone");
    assert_eq!(asks(&mut desk, "Phone"), PAGES);
    assert_eq!(asks(&mut phone, "Phone"), [""; 0], "it is not asked about itself");
    let id = device_id(&mut phone);
    leads_to(&devices_form(&mut desk, &[("known", &id), ("next", "/activity")]), "/activity");
    assert_eq!(asks(&mut desk, "Phone"), [""; 0]);
    leads_to(&devices_form(&mut desk, &[("known", &id)]), "/devices?done=known");
    // From now on the phone answers too.
    signed_in(&server, KIM, "Tablet");
    assert_eq!(asks(&mut phone, "Tablet"), PAGES);
    assert_eq!(asks(&mut desk, "Tablet"), PAGES);
}

async fn a_device_cannot_answer_for_itself(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut thief = signed_in(&server, KIM, "Elsewhere");
    let id = device_id(&mut thief);
    assert_eq!(devices_form(&mut thief, &[("known", &id)]).status, 404);
    assert_eq!(asks(&mut desk, "Elsewhere"), PAGES);
    let page = thief.get("/devices").body;
    assert!(!page.contains("It was me"), "{page}");
}

async fn new_devices_do_not_answer_for_one_another_while_a_known_one_is_signed_in(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut thief = signed_in(&server, KIM, "Elsewhere");
    let mut accomplice = signed_in(&server, KIM, "Elsewhere too");
    let id = device_id(&mut thief);
    assert_eq!(asks(&mut accomplice, "Elsewhere"), [""; 0]);
    assert_eq!(devices_form(&mut accomplice, &[("known", &id)]).status, 404);
    let page = desk.get("/dashboard").body;
    assert!(page.contains("New sign-in: Elsewhere too,") && page.contains("There is one more"), "the newest first");
}

async fn where_no_known_device_is_signed_in_a_new_one_may_answer(db: TestDb) {
    let server = serve(&db);
    let mut lost = signed_in(&server, KIM, "Lost");
    lost.json("DELETE", "/api/session", &serde_json::Value::Null);
    let mut phone = signed_in(&server, KIM, "Phone");
    let mut tablet = signed_in(&server, KIM, "Tablet");
    assert_eq!(asks(&mut phone, "Tablet"), PAGES);
    let id = device_id(&mut tablet);
    leads_to(&devices_form(&mut phone, &[("known", &id)]), "/devices?done=known");
    assert_eq!(count(&db, "devices WHERE acknowledged_at IS NULL"), 1);
}

async fn the_answer_that_it_was_not_me_ends_it(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut thief = signed_in(&server, KIM, "Elsewhere");
    let ending = format!("not-me:{}", device_id(&mut thief));
    assert!(desk.get("/dashboard").body.contains(&ending));
    leads_to(&devices_form(&mut desk, &[("ending", &ending)]), "/account?why=not-me");
    assert!(!is_signed_in(&mut thief));
    assert_eq!(asks(&mut desk, "Elsewhere"), [""; 0]);
}

async fn a_device_that_comes_again_is_not_new(db: TestDb) {
    let server = serve(&db);
    let mut desk = signed_in(&server, KIM, "Desk");
    let mut phone = signed_in(&server, KIM, "Phone");
    let id = device_id(&mut phone);
    leads_to(&devices_form(&mut desk, &[("known", &id)]), "/devices?done=known");
    phone.json("DELETE", "/api/session", &serde_json::Value::Null);
    phone.log_in(KIM);
    assert_eq!(asks(&mut desk, "Phone"), [""; 0]);
}
