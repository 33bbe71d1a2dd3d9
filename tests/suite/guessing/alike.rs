//! As many statements for an account that there is not as for one that there is, so that the time of an answer tells
//! nobody who has an account here.

use std::collections::BTreeMap;

use super::{ALEX, FREE, KIM, WRONG};
use crate::support::{
    Answer, Client, Engine, TestDb, add_user, on_both_engines,
    statements::{Here, all_seen, ran_alone, unseen},
};

on_both_engines! {
    a_refusal_takes_as_many_statements_whether_there_is_an_account_or_not,
}

const NOBODY: &str = "nobody@example.com";
const DISABLED: &str = "disabled@example.com";

async fn a_refusal_takes_as_many_statements_whether_there_is_an_account_or_not(db: TestDb) {
    let engine = if db.engine == Engine::Postgres { "postgres" } else { "sqlite" };
    let case = "a_refusal_takes_as_many_statements_whether_there_is_an_account_or_not";
    if ran_alone(module_path!(), &format!("{engine}::{case}")) {
        return;
    }
    for (email, role) in [(KIM, "owner"), (ALEX, "member"), (DISABLED, "member")] {
        add_user(&db, email, role);
    }
    let more = [("SESSILE_PRUNE_INTERVAL", "0s"), ("SESSILE_TRUSTED_PROXIES", "127.0.0.0/8")];
    let here = Here::serve(&db, &more);
    let mut of_alex = here.client();
    of_alex.log_in(ALEX);
    let other_device =
        of_alex.cookies.iter().find(|(name, _)| name.contains("device")).map(|(n, v)| (n.clone(), v.clone()));
    unseen(&db, &format!("UPDATE accounts SET disabled_at = INSTANT(0) WHERE email = '{DISABLED}'"));
    for with_device in [false, true] {
        for by_form in [false, true] {
            let counted: BTreeMap<&str, usize> = [KIM, NOBODY, DISABLED]
                .into_iter()
                .map(|email| {
                    let mut browser = here.client();
                    browser.cookies.extend(other_device.clone().filter(|_| with_device));
                    (email, statements(&db, || refused(&mut browser, email, by_form), 401))
                })
                .collect();
            let kim = counted[KIM];
            assert!(kim > 5 && counted.values().all(|count| *count == kim), "{with_device} {by_form} {counted:?}");
        }
    }
    are_turned_away_alike(&db, &here);
}

/// Turned away for the first time, which the trail tells, and again.
fn are_turned_away_alike(db: &TestDb, here: &Here) {
    for email in [KIM, NOBODY] {
        for _ in 0..FREE {
            refused(&mut here.client(), email, false);
        }
    }
    unseen(db, "UPDATE throttle_counts SET last_failed_at = INSTANT(0) WHERE failures > 0");
    unseen(db, "UPDATE throttle_counts SET failures = 20, told = 0 WHERE failures > 0 AND NOT of_address");
    for turn in ["first", "again"] {
        let [kim, nobody] =
            [KIM, NOBODY].map(|email| statements(db, || refused(&mut here.client(), email, false), 429));
        assert_eq!(kim, nobody, "{turn}");
    }
}

fn refused(client: &mut Client, email: &str, by_form: bool) -> Answer {
    if !by_form {
        return client.try_log_in(email, WRONG);
    }
    let csrf = client.form_token("/login");
    client.form("/login", &[("csrf", &csrf), ("email", email), ("password", WRONG)])
}

/// How many statements a request takes on what is known of people; the program asks for other things by itself.
fn statements(db: &TestDb, request: impl FnOnce() -> Answer, status: u16) -> usize {
    // Counts of addresses are alike for all.
    unseen(db, "UPDATE throttle_counts SET failures = 0, told = 0 WHERE of_address");
    all_seen();
    let answer = request();
    assert_eq!(answer.status, status, "{answer:?}");
    let tables = ["accounts", "devices", "audit", "trails", "throttle_counts", "throttle_tries"];
    all_seen().iter().filter(|statement| tables.iter().any(|table| statement.contains(table))).count()
}
