//! A browser that was signed in to the account before has a count of its own.

use super::{
    ALEX, FREE, FREE_OF_ADDRESS, FROM, KIM, WRONG, guess, hold, known_browser, pass, serve, try_from, wait_of,
};
use crate::support::{PASSWORD, TestDb, on_both_engines, sessile};

on_both_engines! {
    strangers_do_not_lock_a_browser_out_that_signed_in_before,
    a_known_browser_has_a_count_of_its_own_that_blocks_nobody_else,
    a_browser_is_known_to_the_account_only_that_signed_in_on_it,
    a_new_password_takes_the_own_count_from_every_browser,
    a_forgotten_device_has_no_count_of_its_own,
}

async fn strangers_do_not_lock_a_browser_out_that_signed_in_before(db: TestDb) {
    let server = serve(&db);
    let mut own = known_browser(&server, KIM);
    guess(&db, &server, KIM, FREE);
    for n in FREE..FREE_OF_ADDRESS {
        let somebody = format!("somebody{n}@example.com");
        guess(&db, &server, &somebody, 1);
    }
    wait_of(&try_from(&mut server.client(), FROM, KIM, PASSWORD));
    wait_of(&try_from(&mut server.client(), FROM, ALEX, PASSWORD));
    let answer = try_from(&mut own, FROM, KIM, PASSWORD);
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn a_known_browser_has_a_count_of_its_own_that_blocks_nobody_else(db: TestDb) {
    let server = serve(&db);
    let mut own = known_browser(&server, KIM);
    for _ in 0..FREE {
        assert_eq!(try_from(&mut own, FROM, KIM, WRONG).status, 401);
    }
    hold(&db);
    assert_eq!(wait_of(&try_from(&mut own, FROM, KIM, PASSWORD)), 1);
    assert_eq!(try_from(&mut server.client(), FROM, KIM, PASSWORD).status, 200, "the account's own count is untouched");
    pass(&db, 2);
    assert_eq!(try_from(&mut own, FROM, KIM, PASSWORD).status, 200);
}

async fn a_browser_is_known_to_the_account_only_that_signed_in_on_it(db: TestDb) {
    let server = serve(&db);
    let mut of_alex = known_browser(&server, ALEX);
    guess(&db, &server, KIM, FREE);
    wait_of(&try_from(&mut of_alex, FROM, KIM, PASSWORD));
}

async fn a_new_password_takes_the_own_count_from_every_browser(db: TestDb) {
    let server = serve(&db);
    let mut own = known_browser(&server, KIM);
    let new = "another long passphrase 7";
    assert!(sessile(&db, &["user", "set-password", KIM, "--password-stdin"], new).status.success());
    guess(&db, &server, KIM, FREE);
    wait_of(&try_from(&mut own, FROM, KIM, new));
    pass(&db, 2);
    assert_eq!(try_from(&mut own, FROM, KIM, new).status, 200);
    guess(&db, &server, KIM, FREE);
    assert_eq!(try_from(&mut own, FROM, KIM, new).status, 200, "it has proved itself again");
}

async fn a_forgotten_device_has_no_count_of_its_own(db: TestDb) {
    let server = serve(&db);
    let mut own = known_browser(&server, KIM);
    db.sql("DELETE FROM devices");
    guess(&db, &server, KIM, FREE);
    wait_of(&try_from(&mut own, FROM, KIM, PASSWORD));
}
