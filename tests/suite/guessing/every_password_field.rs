//! Every password field counts wrong passwords: the login page, the confirmation, the change of password, and a signup
//! for an address that is taken.

use super::{FREE, FREE_OF_ADDRESS, FROM, KIM, WRONG, count, guess, hold, serve, try_from, wait_of};
use crate::support::{App, Client, PASSWORD, Served, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    the_login_page_says_how_long_to_wait_and_keeps_the_address,
    the_confirmation_counts,
    strangers_do_not_lock_out_a_session_without_device_cookie,
    the_present_password_counts,
    signups_for_addresses_that_are_taken_count,
}

fn send_form(client: &mut Client, path: &str, fields: &[(&str, &str)]) -> crate::support::Answer {
    let csrf = client.form_token(path);
    let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
    client.form(path, &fields)
}

async fn the_login_page_says_how_long_to_wait_and_keeps_the_address(db: TestDb) {
    let server = serve(&db);
    guess(&db, &server, KIM, FREE);
    let mut client = server.client();
    let answer = send_form(&mut client, "/login", &[("email", KIM), ("password", PASSWORD), ("next", "/account")]);
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")), "{answer:?}");
    assert!(
        answer
            .body
            .contains("Too many wrong passwords. Wait a moment, then try again. Forgotten it? Ask the administrator."),
        "{}",
        answer.body
    );
    assert!(answer.body.contains(KIM) && answer.body.contains("/account"), "{}", answer.body);
    assert!(!answer.body.contains(PASSWORD));
}

/// A signed-in client without its device secret, such as a thief with a stolen session.
fn without_secret(server: &Served) -> Client {
    let mut client = server.client();
    client.log_in(KIM);
    client.cookies.remove("aiq_device");
    client
}

async fn the_confirmation_counts(db: TestDb) {
    let server = serve(&db);
    let mut client = without_secret(&server);
    for _ in 0..FREE {
        let answer = send_form(&mut client, "/confirm", &[("password", WRONG), ("next", "/account")]);
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    hold(&db);
    let answer = send_form(&mut client, "/confirm", &[("password", PASSWORD)]);
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")), "{answer:?}");
    assert_eq!(client.get("/api/session").status, 200, "the client is still signed in");
    assert_eq!(
        try_from(&mut server.client(), FROM, KIM, PASSWORD).status,
        200,
        "only the device's own count is affected"
    );
}

async fn strangers_do_not_lock_out_a_session_without_device_cookie(db: TestDb) {
    let server = serve(&db);
    let mut client = without_secret(&server);
    guess(&db, &server, KIM, FREE);
    wait_of(&try_from(&mut server.client(), FROM, KIM, PASSWORD));
    assert_eq!(send_form(&mut client, "/confirm", &[("password", WRONG)]).status, 401);
    assert_eq!(count(&db, "audit WHERE kind = 'login.failed' AND device_id IS NOT NULL"), 1);
    let answer = send_form(&mut client, "/confirm", &[("password", PASSWORD)]);
    assert_eq!(answer.status, 303, "{answer:?}");
    client.cookies.remove("aiq_device");
    let fields = [("current_password", PASSWORD), ("password", "tide pool limpet 77")];
    let answer = send_form(&mut client, "/account", &fields);
    assert_eq!(answer.status, 303, "{answer:?}");
}

async fn the_present_password_counts(db: TestDb) {
    let server = serve(&db);
    let mut client = without_secret(&server);
    for _ in 0..FREE {
        let fields = [("current_password", WRONG), ("password", "tide pool limpet 77")];
        assert_eq!(send_form(&mut client, "/account", &fields).status, 401);
    }
    hold(&db);
    let fields = [("current_password", PASSWORD), ("password", "tide pool limpet 77")];
    let answer = send_form(&mut client, "/account", &fields);
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")), "{answer:?}");
    assert_eq!(
        try_from(&mut server.client(), FROM, KIM, PASSWORD).status,
        200,
        "only the device's own count is affected"
    );
}

async fn signups_for_addresses_that_are_taken_count(db: TestDb) {
    crate::support::add_user(&db, KIM, "owner");
    let server = App::start(&db, &[("SESSILE_SIGNUP", "open")]);
    let sign_up = |email: &str| {
        let fields = [("email", email), ("name", "Kim"), ("password", "tide pool limpet 77")];
        send_form(&mut server.client(), "/signup", &fields)
    };
    for n in 0..FREE_OF_ADDRESS {
        let answer = sign_up(KIM);
        assert_eq!(answer.status, 422, "{n}: {answer:?}");
    }
    hold(&db);
    let answer = sign_up("new@example.com");
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")), "{answer:?}");
}
