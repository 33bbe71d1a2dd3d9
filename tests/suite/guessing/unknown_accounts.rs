//! A refusal runs the same statements whether the account exists or not, so that the response time does not reveal who
//! has an account. The texts are compared, not only their number, because a connection keeps some statements prepared
//! and prepares others each time.

use super::{ALEX, FREE, KIM, WRONG};
use crate::support::{
    Answer, App, Client, Engine, PASSWORD, TestDb, add_user, on_both_engines_and_citus,
    statements::{all_seen, ran_alone, unseen},
};

on_both_engines_and_citus! {
    refusals_run_the_same_statements_for_unknown_accounts,
}

const NOBODY: &str = "nobody@example.com";
const DISABLED: &str = "disabled@example.com";

async fn refusals_run_the_same_statements_for_unknown_accounts(db: TestDb) {
    let engine = if db.engine == Engine::Postgres { "postgres" } else { "sqlite" };
    let case = "refusals_run_the_same_statements_for_unknown_accounts";
    if ran_alone(module_path!(), &format!("{engine}::{case}")) {
        return;
    }
    for (email, role) in [(KIM, "owner"), (ALEX, "member"), (DISABLED, "member")] {
        add_user(&db, email, role);
    }
    let more = [("SESSILE_PRUNE_INTERVAL", "0s"), ("SESSILE_TRUSTED_PROXIES", "127.0.0.0/8")];
    let here = App::start(&db, &more);
    let mut of_alex = here.client();
    of_alex.log_in(ALEX);
    let other_device =
        of_alex.cookies.iter().find(|(name, _)| name.contains("device")).map(|(n, v)| (n.clone(), v.clone()));
    unseen(&db, &format!("UPDATE accounts SET disabled_at = INSTANT(0) WHERE email = '{DISABLED}'"));
    let cases = [(KIM, WRONG), (NOBODY, WRONG), (DISABLED, WRONG), (DISABLED, PASSWORD)];
    for with_device in [false, true] {
        for by_form in [false, true] {
            let asked = cases.map(|(email, password)| {
                let mut browser = here.client();
                browser.cookies.extend(other_device.clone().filter(|_| with_device));
                statements(&db, || refused(&mut browser, email, password, by_form), 401)
            });
            assert!(asked[0].len() > 5, "{asked:?}");
            for (other, case) in asked.iter().zip(cases) {
                assert_eq!(*other, asked[0], "{case:?} {with_device} {by_form}");
            }
        }
    }
    a_used_setup_link_tells_nothing(&db, &here);
    are_turned_away_alike(&db, &here);
}

/// The setup link is invalid because there is an owner.
fn a_used_setup_link_tells_nothing(db: &TestDb, here: &App) {
    let set_up = |email: &str, password: &str| {
        let mut browser = here.client();
        let csrf = browser.form_token("/login");
        let token = "x".repeat(43);
        let fields = [("csrf", csrf.as_str()), ("token", &token), ("email", email), ("password", password)];
        statements(db, || browser.form("/setup", &fields), 403)
    };
    let of_kim = set_up(KIM, WRONG);
    for (email, password) in [(NOBODY, WRONG), (DISABLED, WRONG), (KIM, PASSWORD)] {
        assert_eq!(set_up(email, password), of_kim, "{email}");
    }
}

/// The first refusal, which writes an audit event, and a second one.
fn are_turned_away_alike(db: &TestDb, here: &App) {
    for email in [KIM, NOBODY] {
        for _ in 0..FREE {
            refused(&mut here.client(), email, WRONG, false);
        }
    }
    unseen(db, "UPDATE throttle_counts SET last_failed_at = INSTANT(0) WHERE failures > 0");
    unseen(db, "UPDATE throttle_counts SET failures = 20, told = 0 WHERE failures > 0 AND NOT of_address");
    for turn in ["first", "again"] {
        let [kim, nobody] =
            [KIM, NOBODY].map(|email| statements(db, || refused(&mut here.client(), email, WRONG, false), 429));
        assert_eq!(kim, nobody, "{turn}");
    }
}

fn refused(client: &mut Client, email: &str, password: &str, by_form: bool) -> Answer {
    if !by_form {
        return client.try_log_in(email, password);
    }
    let csrf = client.form_token("/login");
    client.form("/login", &[("csrf", &csrf), ("email", email), ("password", password)])
}

/// The statements of a request about people, without values and without those of background jobs. The event of an
/// unknown account has fewer columns than a chained event.
fn statements(db: &TestDb, request: impl FnOnce() -> Answer, status: u16) -> Vec<String> {
    // The counts of addresses are the same for all, so reset them.
    unseen(db, "UPDATE throttle_counts SET failures = 0, told = 0 WHERE of_address");
    all_seen();
    let answer = request();
    assert_eq!(answer.status, status, "{answer:?}");
    let tables = [
        "accounts",
        "account_of_email",
        "devices",
        "audit",
        "trails",
        "throttle_counts",
        "throttle_tries",
        "login_form",
    ];
    let about_people = all_seen().into_iter().filter(|text| tables.iter().any(|table| text.contains(table)));
    let texts = about_people.map(|text| text.split(" -- binds").next().unwrap_or_default().to_owned());
    let is_event = |text: &str| text.starts_with("INSERT INTO \"audit\"") || text.starts_with("INSERT INTO `audit`");
    texts.map(|text| if is_event(&text) { "an event".to_owned() } else { text }).collect()
}
