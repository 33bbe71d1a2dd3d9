//! The state between a right password and the second factor, in the hands of somebody else, or too late.

use super::{
    KIM, Phone, count, leads_to, let_time_pass, log_in_by_page, log_in_with, second_step, serve, set_up, signed_in,
};
use crate::support::{App, Client, PASSWORD, TestDb, add_user, command, on_both_engines_and_citus};

on_both_engines_and_citus! {
    the_first_step_is_of_no_use_in_another_browser,
    the_first_step_is_void_after_a_new_password,
    the_first_step_is_void_after_a_change_of_the_factors,
    the_first_step_is_void_for_a_disabled_account,
    the_first_step_is_used_once,
    the_first_step_is_good_on_every_node,
    a_form_that_is_sent_twice_is_one_sign_in,
}

/// A browser after the right password.
fn half_signed_in(server: &App) -> Client {
    let mut client = server.client();
    leads_to(&log_in_by_page(&mut client, ""), "/login/second");
    client
}

/// A program whose account has an app, with the app.
fn served(db: &TestDb) -> (App, Phone) {
    let server = serve(db);
    let (phone, _) = set_up(&mut signed_in(&server));
    let_time_pass(db);
    (server, phone)
}

/// Sends the form of the second step, whatever the page shows.
fn submit(client: &mut Client, code: &str) -> crate::support::Answer {
    let csrf = client.form_token("/login");
    client.form("/login/second", &[("csrf", &csrf), ("code", code)])
}

fn is_void(client: &mut Client, code: &str) {
    let answer = submit(client, code);
    assert_eq!(answer.status, 303, "{answer:?}");
    assert!(answer.header("location").unwrap().starts_with("/login"), "{answer:?}");
    assert_eq!(client.get("/api/session").status, 401);
}

async fn the_first_step_is_of_no_use_in_another_browser(db: TestDb) {
    let (server, phone) = served(&db);
    let victim = half_signed_in(&server);
    let name = victim.cookies.keys().find(|name| name.contains("half") || name.contains("second")).expect("its cookie");
    let mut thief = server.client();
    thief.get("/login");
    thief.cookies.insert(name.clone(), victim.cookies[name].clone());
    leads_to(&thief.get("/login/second"), "/login");
    is_void(&mut thief, &phone.code());
    let mut victim = victim;
    leads_to(&second_step(&mut victim, &phone.code()), "/dashboard");
}

async fn the_first_step_is_void_after_a_new_password(db: TestDb) {
    let (server, phone) = served(&db);
    let mut client = half_signed_in(&server);
    db.sql("UPDATE accounts SET password_changed_at = INSTANT(0)");
    is_void(&mut client, &phone.code());
}

async fn the_first_step_is_void_after_a_change_of_the_factors(db: TestDb) {
    let (server, phone) = served(&db);
    let mut client = half_signed_in(&server);
    db.sql("UPDATE accounts SET factor_version = factor_version + 1");
    is_void(&mut client, &phone.code());
    let mut client = half_signed_in(&server);
    // As a reset by an administrator leaves it.
    db.sql("DELETE FROM totp_apps");
    db.sql("DELETE FROM recovery_codes");
    db.sql("UPDATE accounts SET factor_version = factor_version + 1, second_factors = 0");
    is_void(&mut client, &phone.code());
}

async fn the_first_step_is_void_for_a_disabled_account(db: TestDb) {
    let (server, phone) = served(&db);
    let client = half_signed_in(&server);
    add_user(&db, "alex@example.com", "owner");
    for act in ["disable", "enable"] {
        let done = command(&db, &[]).args(["user", act, KIM]).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        // Also once the account is enabled again.
        is_void(&mut client.clone(), &phone.code());
    }
    leads_to(&second_step(&mut half_signed_in(&server), &phone.code()), "/dashboard");
}

async fn the_first_step_is_used_once(db: TestDb) {
    let (server, phone) = served(&db);
    let mut client = half_signed_in(&server);
    let kept = client.cookies.clone();
    leads_to(&second_step(&mut client, &phone.code()), "/dashboard");
    let mut logged_out = client.clone();
    let csrf = logged_out.form_token("/account");
    assert_eq!(logged_out.form("/logout", &[("csrf", &csrf)]).status, 303);
    // The same browser, with the cookies from before.
    let mut again = server.client();
    again.cookies = kept;
    let_time_pass(&db);
    is_void(&mut again, &phone.code());
    assert_eq!(count(&db, "sessions WHERE ended_at IS NULL"), 1, "only the session of the set-up lives");
}

async fn the_first_step_is_good_on_every_node(db: TestDb) {
    let (server, phone) = served(&db);
    let other = App::start(&db, &[]);
    let client = half_signed_in(&server);
    let mut there = other.client();
    there.cookies = client.cookies;
    leads_to(&second_step(&mut there, &phone.code()), "/dashboard");
}

async fn a_form_that_is_sent_twice_is_one_sign_in(db: TestDb) {
    let (server, phone) = served(&db);
    let mut client = half_signed_in(&server);
    let page = client.get("/login/second");
    let (csrf, code) = (page.form_token(), phone.code());
    let mut twice = client.clone();
    let before = count(&db, "sessions");
    for client in [&mut client, &mut twice] {
        leads_to(&client.form("/login/second", &[("csrf", &csrf), ("code", &code)]), "/dashboard");
    }
    for client in [&mut client, &mut twice] {
        let session = client.get("/api/session").json()["session"].clone();
        assert_eq!(session["aal"], 2, "the second answer keeps the level: {session}");
    }
    assert_eq!(count(&db, "sessions"), before + 1);
    assert_eq!(log_in_with(&mut server.client(), PASSWORD, &code).status, 401);
}
