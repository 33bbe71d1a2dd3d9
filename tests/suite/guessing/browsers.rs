//! A browser that has signed in to the account before has its own count of wrong passwords.

use super::{
    ALEX, FREE, FREE_OF_ADDRESS, FROM, KIM, WRONG, count, guess, hold, known_browser, pass, serve, try_from, wait_of,
};
use crate::support::{PASSWORD, TestDb, on_both_engines_and_citus, sessile};

/// The free wrong passwords of a browser that has proved only a former password.
const FREE_OF_FORMER: usize = 5;
const NEW: &str = "another long passphrase 7";

on_both_engines_and_citus! {
    strangers_do_not_lock_a_browser_out_that_signed_in_before,
    a_known_browsers_own_count_blocks_no_others,
    a_browser_is_known_to_the_account_only_that_signed_in_on_it,
    after_a_new_password_strangers_lock_out_no_known_browser,
    a_new_password_forgets_the_wrong_ones_before_it,
    a_browser_with_only_a_former_password_has_fewer_tries,
    unacknowledged_former_browsers_share_their_tries,
    a_forgotten_browser_loses_its_count_after_a_new_password,
    a_forgotten_device_has_no_count_of_its_own,
    a_copied_device_cookie_expires_at_the_next_sign_in,
    after_a_lost_answer_the_former_device_secret_works,
    sign_ins_sent_at_once_leave_one_device,
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

async fn a_known_browsers_own_count_blocks_no_others(db: TestDb) {
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

fn set_password(db: &TestDb) {
    assert!(sessile(db, &["user", "set-password", KIM, "--password-stdin"], NEW).status.success());
}

async fn after_a_new_password_strangers_lock_out_no_known_browser(db: TestDb) {
    let server = serve(&db);
    let mut own = known_browser(&server, KIM);
    guess(&db, &server, KIM, FREE);
    set_password(&db);
    guess(&db, &server, KIM, FREE);
    wait_of(&try_from(&mut server.client(), FROM, KIM, NEW));
    assert_eq!(try_from(&mut own, FROM, KIM, NEW).status, 200);
    assert_eq!(try_from(&mut own, FROM, KIM, NEW).status, 200, "the browser has its own count again");
}

async fn a_new_password_forgets_the_wrong_ones_before_it(db: TestDb) {
    let server = serve(&db);
    guess(&db, &server, KIM, FREE);
    wait_of(&try_from(&mut server.client(), FROM, KIM, PASSWORD));
    set_password(&db);
    assert_eq!(try_from(&mut server.client(), "192.0.2.9", KIM, NEW).status, 200);
}

async fn a_browser_with_only_a_former_password_has_fewer_tries(db: TestDb) {
    let server = serve(&db);
    let mut own = known_browser(&server, KIM);
    set_password(&db);
    for _ in 0..FREE_OF_FORMER {
        assert_eq!(try_from(&mut own, FROM, KIM, WRONG).status, 401);
    }
    hold(&db);
    wait_of(&try_from(&mut own, FROM, KIM, NEW));
    assert_eq!(try_from(&mut server.client(), FROM, KIM, NEW).status, 200, "the account's own count is untouched");
}

async fn unacknowledged_former_browsers_share_their_tries(db: TestDb) {
    let server = serve(&db);
    let mut first = known_browser(&server, KIM);
    let mut others = [known_browser(&server, KIM), known_browser(&server, KIM)];
    set_password(&db);
    for n in 0..FREE_OF_FORMER {
        assert_eq!(try_from(&mut others[n % 2], FROM, KIM, WRONG).status, 401);
    }
    hold(&db);
    for other in &mut others {
        wait_of(&try_from(other, FROM, KIM, NEW));
    }
    assert_eq!(try_from(&mut first, FROM, KIM, NEW).status, 200, "the account's first browser is acknowledged");
}

async fn a_forgotten_browser_loses_its_count_after_a_new_password(db: TestDb) {
    assert_has_no_count_of_its_own_after(&db, "UPDATE devices SET forgotten_at = INSTANT(-1), proved_at = NULL");
}

async fn a_forgotten_device_has_no_count_of_its_own(db: TestDb) {
    assert_has_no_count_of_its_own_after(&db, "DELETE FROM devices");
}

fn assert_has_no_count_of_its_own_after(db: &TestDb, statement: &str) {
    let server = serve(db);
    let mut own = known_browser(&server, KIM);
    db.sql(statement);
    guess(db, &server, KIM, FREE);
    wait_of(&try_from(&mut own, FROM, KIM, PASSWORD));
}

async fn a_copied_device_cookie_expires_at_the_next_sign_in(db: TestDb) {
    let server = serve(&db);
    let mut own = known_browser(&server, KIM);
    let mut copy = server.client();
    copy.cookies.insert("aiq_device".into(), own.cookies["aiq_device"].clone());
    assert_eq!(try_from(&mut own, FROM, KIM, PASSWORD).status, 200);
    assert_eq!(own.get("/api/session").status, 200);
    guess(&db, &server, KIM, FREE);
    wait_of(&try_from(&mut copy, FROM, KIM, PASSWORD));
    assert_eq!(own.send("DELETE", "/api/session", &[], b"").status, 204);
    assert_eq!(try_from(&mut own, FROM, KIM, PASSWORD).status, 200, "the browser itself is still known");
    pass(&db, 2);
    assert_eq!(try_from(&mut copy, FROM, KIM, PASSWORD).status, 200);
    assert_eq!(count(&db, "audit WHERE kind = 'device.new'"), 2, "the copy signs in as a new device");
}

async fn after_a_lost_answer_the_former_device_secret_works(db: TestDb) {
    let server = serve(&db);
    let mut own = known_browser(&server, KIM);
    for _ in 0..2 {
        assert_eq!(try_from(&mut own.clone(), FROM, KIM, PASSWORD).status, 200);
    }
    guess(&db, &server, KIM, FREE);
    let answer = try_from(&mut own, FROM, KIM, PASSWORD);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!((count(&db, "devices"), count(&db, "audit WHERE kind = 'device.new'")), (1, 1));
}

async fn sign_ins_sent_at_once_leave_one_device(db: TestDb) {
    let server = serve(&db);
    let mut own = known_browser(&server, KIM);
    for kept in [0, 1] {
        let mut tabs = [own.clone(), own.clone()];
        for tab in &mut tabs {
            assert_eq!(try_from(tab, FROM, KIM, PASSWORD).status, 200);
        }
        own.cookies.insert("aiq_device".into(), tabs[kept].cookies["aiq_device"].clone());
        assert_eq!(try_from(&mut own, FROM, KIM, PASSWORD).status, 200);
        assert_eq!(own.send("DELETE", "/api/session", &[], b"").status, 204);
        assert_eq!((count(&db, "devices"), count(&db, "audit WHERE kind = 'device.new'")), (1, 1), "{kept}");
    }
    // Once the browser has sent the new secret, the previous secret is invalid.
    let mut copy = server.client();
    copy.cookies.insert("aiq_device".into(), own.cookies["aiq_device"].clone());
    assert_eq!(try_from(&mut own, FROM, KIM, PASSWORD).status, 200);
    assert_eq!(own.get("/api/session").status, 200);
    guess(&db, &server, KIM, FREE);
    wait_of(&try_from(&mut copy, FROM, KIM, PASSWORD));
}
