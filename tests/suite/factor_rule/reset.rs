//! An administrator removes the second factor of somebody who has lost it.

use serde_json::{Value, json};

use super::{ALEX, KIM, SAM, count, give_app, leads_to, log_in_with, new_code};
use crate::support::{Answer, App, Client, PASSWORD, TestDb, add_user, command, on_both_engines_and_citus};

on_both_engines_and_citus! {
    the_command_removes_everything_and_says_so,
    the_button_asks_first_and_tells_both,
    a_half_finished_sign_in_is_void,
    nobody_resets_people_beside_or_above_themselves,
    an_owner_does_not_reset_themselves,
    the_list_says_who_has_a_second_factor,
    whoever_must_have_one_sets_up_a_new_one,
    the_person_gets_a_mail,
}

fn reset(db: &TestDb, email: &str) -> (Option<i32>, String) {
    let output = command(db, &[]).args(["user", "reset-second-factor", email]).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn signed_in(server: &App, email: &str) -> Client {
    let mut client = server.client();
    client.log_in(email);
    client
}

fn question(client: &mut Client, id: &str) -> Answer {
    let address = format!("/people/{id}/confirm?act=reset-second-factor");
    let page = client.get(&address);
    if page.status != 200 {
        return page;
    }
    let fields =
        [("csrf", page.form_token()), ("act", "reset-second-factor".into()), ("current_password", PASSWORD.into())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    client.form(&format!("/people/{id}/confirm"), &fields)
}

/// Nothing is left of a second factor.
fn is_gone(db: &TestDb) {
    for table in ["totp_apps", "recovery_codes", "passkeys", "account_of_passkey"] {
        assert_eq!(count(db, table), 0, "{table}");
    }
    assert_eq!(count(db, "accounts WHERE second_factors > 0"), 0);
}

fn add_passkey(db: &TestDb, account_id: &str) {
    // The bytes 01 and their SHA-256.
    let hash = "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a";
    let bytes = |hex: &str| match db.engine {
        crate::support::Engine::Sqlite => format!("x'{hex}'"),
        crate::support::Engine::Postgres => format!("'\\x{hex}'::bytea"),
    };
    db.sql(&format!(
        "INSERT INTO passkeys (account_id, id, credential_id, data, name, created_at) \
         VALUES ('{account_id}', 'pk_1', {}, '{{}}', 'Phone', INSTANT(0))",
        bytes("01")
    ));
    db.sql(&format!(
        "INSERT INTO account_of_passkey (credential_hash, account_id, passkey_id) VALUES ({}, '{account_id}', 'pk_1')",
        bytes(hash)
    ));
    db.sql("UPDATE accounts SET second_factors = second_factors + 1");
}

async fn the_command_removes_everything_and_says_so(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let server = App::start(&db, &[]);
    assert_eq!(reset(&db, KIM), (Some(0), "there was no second factor\n".to_owned()));
    assert_eq!(count(&db, "audit WHERE kind = 'second-factor.reset'"), 0);
    give_app(&db, &kim).await;
    add_passkey(&db, &kim);
    let mut client = server.client();
    assert_eq!(log_in_with(&mut client, KIM, &new_code(&db)).status, 200);
    assert_eq!(reset(&db, KIM), (Some(0), "second factor removed, ended 1\n".to_owned()));
    is_gone(&db);
    let answer = client.get("/api/session");
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (401, Some("revoked")), "{answer:?}");
    assert_eq!(count(&db, "audit WHERE kind = 'second-factor.reset' AND actor = 'operator'"), 1);
    assert_eq!(count(&db, "accounts WHERE factor_reset_at IS NOT NULL"), 1);
    let answer = client.log_in(KIM);
    assert_eq!(answer.json()["session"]["amr"], json!(["pwd"]));
    let (code, said) = reset(&db, "nobody@example.com");
    assert!(code == Some(1) && said.contains("nobody@example.com"), "{said}");
}

async fn the_button_asks_first_and_tells_both(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let sam = add_user(&db, SAM, "member");
    give_app(&db, &sam).await;
    let server = App::start(&db, &[]);
    let mut member = server.client();
    assert_eq!(log_in_with(&mut member, SAM, &new_code(&db)).status, 200);
    let mut owner = signed_in(&server, KIM);
    let page = owner.get(&format!("/people/{sam}"));
    assert!(page.body.contains("act=reset-second-factor"), "{page:?}");
    // Opening the question changes nothing, and an old confirmation asks for the password.
    db.sql("UPDATE sessions SET authenticated_at = INSTANT(-660)");
    let asked = owner.get(&format!("/people/{sam}/confirm?act=reset-second-factor"));
    assert!(asked.body.contains("name=\"current_password\"") && count(&db, "totp_apps") == 1, "{asked:?}");
    leads_to(&question(&mut owner, &sam), &format!("/people/{sam}?done=second-factor-removed"));
    is_gone(&db);
    assert_eq!(member.get("/api/session").json()["reason"], "revoked");
    let page = owner.get(&format!("/people/{sam}?done=second-factor-removed"));
    assert!(page.body.contains("The second factor is removed") && !page.body.contains("act=reset-second-factor"));
    for id in [&kim, &sam] {
        let events = format!("audit WHERE kind = 'second-factor.reset' AND account_id = '{id}'");
        assert_eq!(count(&db, &events), 1, "{id}");
    }
}

async fn a_half_finished_sign_in_is_void(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let codes = give_app(&db, &kim).await;
    let server = App::start(&db, &[]);
    let half = || {
        let mut client = server.client();
        let csrf = client.form_token("/login");
        leads_to(&client.form("/login", &[("csrf", &csrf), ("email", KIM), ("password", PASSWORD)]), "/login/second");
        let csrf = client.form_token("/login/second");
        (client, csrf)
    };
    let (mut client, csrf) = half();
    assert_eq!(reset(&db, KIM).0, Some(0));
    leads_to(&client.clone().get("/login/second"), "/login?done=expired");
    for code in [new_code(&db), codes[0].clone()] {
        let answer = client.form("/login/second", &[("csrf", &csrf), ("code", &code)]);
        assert!(answer.header("location").is_some_and(|to| to.starts_with("/login")), "{answer:?}");
        assert!(answer.sets("aiq_session").is_none(), "{answer:?}");
    }
    // Also if the person has set up a new one since.
    give_app(&db, &kim).await;
    let (mut client, csrf) = half();
    assert_eq!(reset(&db, KIM).0, Some(0));
    give_app(&db, &kim).await;
    let answer = client.form("/login/second", &[("csrf", &csrf), ("code", &new_code(&db))]);
    assert!(answer.sets("aiq_session").is_none() && answer.status == 303, "{answer:?}");
    assert_eq!(count(&db, "sessions"), 0);
}

async fn nobody_resets_people_beside_or_above_themselves(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    add_user(&db, ALEX, "admin");
    add_user(&db, SAM, "member");
    give_app(&db, &kim).await;
    let server = App::start(&db, &[]);
    for email in [ALEX, SAM] {
        let answer = question(&mut signed_in(&server, email), &kim);
        assert!(matches!(answer.status, 403 | 404), "{answer:?}");
    }
    let answer = server.client().get(&format!("/people/{kim}/confirm?act=reset-second-factor"));
    assert_eq!(answer.status, 303, "{answer:?}");
    assert_eq!((count(&db, "totp_apps"), count(&db, "audit WHERE kind = 'second-factor.reset'")), (1, 0));
}

/// Otherwise the password alone would remove it.
async fn an_owner_does_not_reset_themselves(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let server = App::start(&db, &[]);
    let mut owner = signed_in(&server, KIM);
    give_app(&db, &kim).await;
    let answer = question(&mut owner, &kim);
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(!owner.get(&format!("/people/{kim}")).body.contains("reset-second-factor"));
    assert_eq!((count(&db, "totp_apps"), count(&db, "audit WHERE kind = 'second-factor.reset'")), (1, 0));
}

async fn the_list_says_who_has_a_second_factor(db: TestDb) {
    add_user(&db, KIM, "owner");
    let sam = add_user(&db, SAM, "member");
    let server = App::start(&db, &[]);
    let mut owner = signed_in(&server, KIM);
    let has = |answer: &Answer| answer.json()["secondFactor"].clone();
    assert_eq!(has(&owner.get(&format!("/api/people/{sam}"))), json!(false));
    assert!(!owner.get("/people").body.contains("Second factor</span>"));
    give_app(&db, &sam).await;
    assert_eq!(has(&owner.get(&format!("/api/people/{sam}"))), json!(true));
    let people = owner.get("/api/people").json()["people"].clone();
    let with: Vec<&Value> =
        people.as_array().unwrap().iter().filter(|person| person["secondFactor"] == json!(true)).collect();
    assert!(with.len() == 1 && with[0]["email"] == SAM, "{people}");
    assert!(owner.get("/people").body.contains("Second factor</span>"));
}

async fn whoever_must_have_one_sets_up_a_new_one(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    give_app(&db, &kim).await;
    let server = App::start(&db, &[("SESSILE_SECOND_FACTOR", "everyone")]);
    let mut client = server.client();
    assert_eq!(log_in_with(&mut client, KIM, &new_code(&db)).status, 200);
    assert_eq!(client.get("/dashboard").status, 200);
    assert_eq!(reset(&db, KIM).0, Some(0));
    client.log_in(KIM);
    leads_to(&client.get("/dashboard"), "/account/security");
}

async fn the_person_gets_a_mail(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    give_app(&db, &kim).await;
    let mail = [("SESSILE_SMTP_URL", "smtp://127.0.0.1:9"), ("SESSILE_MAIL_FROM", "id@example.com")];
    let done = command(&db, &mail).args(["user", "reset-second-factor", KIM]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let mails = "mails WHERE kind = 'second-factor-changed' AND detail LIKE '%removed by an administrator%'";
    assert_eq!(count(&db, mails), 1);
}
