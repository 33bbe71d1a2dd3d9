//! A passkey as the second factor after a right password.

use serde_json::{Value, json};

use super::{
    Authenticator, KIM, SAM, Twist, answered, assert_signed_out, count, give_password, id_of, kinds, serve, session,
    sign_in, with_passkey, wrong,
};
use crate::support::{Answer, Client, PASSWORD, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_password_and_a_passkey_sign_in_at_level_2,
    a_wrong_answer_does_not_spend_the_first_step,
    the_first_step_is_for_one_browser_one_account_and_one_use,
    the_first_step_is_void_after_a_change,
    only_the_second_step_keeps_an_account_that_was_to_be_deleted,
}

fn ask_second(client: &mut Client) -> Value {
    let asked = client.json("POST", "/api/passkeys/sign-in/options", &json!({"second": true}));
    assert_eq!(asked.status, 200, "{asked:?}");
    asked.json()
}

fn finish(client: &mut Client, asked: &Value, credential: &Value) -> Answer {
    let mut body = answered(asked, credential);
    body["second"] = json!(true);
    client.json("POST", "/api/passkeys/sign-in", &body)
}

fn second(client: &mut Client, key: &mut Authenticator, twist: &Twist) -> Answer {
    let asked = ask_second(client);
    let credential = key.get(&asked["options"], twist);
    finish(client, &asked, &credential)
}

async fn a_password_and_a_passkey_sign_in_at_level_2(db: TestDb) {
    let server = serve(&db, &[]);
    let (_, mut key) = with_passkey(&server, KIM);
    let mut client = server.client();
    let refused = client.try_log_in(KIM, PASSWORD);
    assert_eq!((refused.status, refused.problem().as_str()), (401, "second-factor-required"));
    assert_eq!(refused.json()["methods"], json!(["passkey", "recovery"]));
    let csrf = client.form_token("/login");
    let fields = [("csrf", csrf.as_str()), ("email", KIM), ("password", PASSWORD), ("next", "/devices")];
    assert_eq!(client.form("/login", &fields).header("location"), Some("/login/second"));
    assert_signed_out(&mut client);
    let page = client.get("/login/second").body;
    assert!(page.contains("data-passkey=\"sign-in\"") && page.contains("data-second"), "{page}");
    let asked = ask_second(&mut client);
    assert_eq!(asked["options"]["allowCredentials"].as_array().unwrap().len(), 1);
    let credential = key.get(&asked["options"], &Twist::default());
    let answer = finish(&mut client, &asked, &credential);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["next"], "/devices", "the state between carries the address");
    assert!(answer.sets("aiq_session").is_some() && !client.cookies.contains_key("aiq_second"));
    let session = session(&mut client);
    assert_eq!([&session["amr"], &session["aal"]], [&json!(["pwd", "hwk", "user", "mfa"]), &json!(2)]);
    let kinds = kinds(&db, KIM);
    assert_eq!(kinds.last().map(String::as_str), Some("passkey.used"), "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| *kind == "login.succeeded").count(), 2, "{kinds:?}");
}

async fn a_wrong_answer_does_not_spend_the_first_step(db: TestDb) {
    let server = serve(&db, &[]);
    let (_, mut key) = with_passkey(&server, KIM);
    let mut client = server.client();
    give_password(&mut client, KIM);
    for (name, twist) in wrong() {
        let answer = second(&mut client, &mut key, &twist);
        assert_eq!((answer.status, answer.problem().as_str()), (401, "passkey-refused"), "{name}: {answer:?}");
        assert_signed_out(&mut client);
    }
    assert_eq!(second(&mut client, &mut key, &Twist::default()).status, 200);
}

async fn the_first_step_is_for_one_browser_one_account_and_one_use(db: TestDb) {
    let server = serve(&db, &[]);
    let ((_, mut kims), (_, mut sams)) = (with_passkey(&server, KIM), with_passkey(&server, SAM));
    let mut client = server.client();
    give_password(&mut client, KIM);
    // Sam's passkey, although the options allow Kim's only.
    let asked = ask_second(&mut client);
    let any = json!({"challenge": asked["options"]["challenge"], "rpId": "localhost"});
    let credential = sams.get(&any, &Twist::default());
    let answer = finish(&mut client, &asked, &credential);
    assert_eq!((answer.status, answer.problem().as_str()), (401, "passkey-refused"), "{answer:?}");
    // The cookie in another browser.
    let mut thief = server.client();
    thief.get("/login");
    thief.cookies.insert("aiq_second".to_owned(), client.cookies["aiq_second"].clone());
    let refused = thief.json("POST", "/api/passkeys/sign-in/options", &json!({"second": true}));
    assert_eq!(refused.problem(), "passkey-refused");
    // The answer to a sign-in is none to the second step.
    let alone = super::ask(&mut client, "/sign-in");
    let credential = kims.get(&alone["options"], &Twist::default());
    assert_eq!(finish(&mut client, &alone, &credential).status, 400);
    let kept = client.cookies.clone();
    let (early, late) = (ask_second(&mut client), ask_second(&mut client));
    let credential = kims.get(&early["options"], &Twist::default());
    assert_eq!(finish(&mut client, &early, &credential).status, 200);
    // The first step is spent, with this answer and with a new one.
    client.cookies = kept;
    assert_eq!(finish(&mut client, &early, &credential).problem(), "passkey-refused");
    let credential = kims.get(&late["options"], &Twist::default());
    assert_eq!(finish(&mut client, &late, &credential).problem(), "passkey-refused");
    assert_signed_out(&mut client);
    assert_eq!(count(&db, "sessions"), 3);
}

async fn the_first_step_is_void_after_a_change(db: TestDb) {
    let server = serve(&db, &[]);
    for change in [
        "password_changed_at = INSTANT(-1)",
        "disabled_at = INSTANT(-1)",
        "factor_version = factor_version + 1",
        "deleted_at = INSTANT(-1), disabled_at = INSTANT(-1)",
    ] {
        db.sql("DELETE FROM account_of_passkey");
        db.sql("DELETE FROM passkeys");
        db.sql("UPDATE accounts SET second_factors = 0, disabled_at = NULL, deleted_at = NULL");
        let (_, mut key) = with_passkey(&server, SAM);
        let mut client = server.client();
        give_password(&mut client, SAM);
        let asked = ask_second(&mut client);
        db.sql(&format!("UPDATE accounts SET {change} WHERE id = '{}'", id_of(&db, SAM)));
        let credential = key.get(&asked["options"], &Twist::default());
        let answer = finish(&mut client, &asked, &credential);
        assert!(matches!(answer.status, 401 | 404), "{change}: {answer:?}");
        assert_signed_out(&mut client);
        if !change.contains("disabled_at") {
            assert_eq!(sign_in(&mut client, &mut key, &Twist::default()).status, 200, "{change}");
        }
    }
}

async fn only_the_second_step_keeps_an_account_that_was_to_be_deleted(db: TestDb) {
    let server = serve(&db, &[]);
    let (_, mut key) = with_passkey(&server, SAM);
    let mut client = server.client();
    db.sql(&format!("UPDATE accounts SET deletion_asked_at = INSTANT(-60) WHERE id = '{}'", id_of(&db, SAM)));
    assert_eq!(give_password(&mut client, SAM).header("location"), Some("/login/second"));
    assert_eq!(count(&db, "accounts WHERE deletion_asked_at IS NOT NULL"), 1, "the password alone keeps nothing");
    assert_eq!(second(&mut client, &mut key, &Twist::default()).status, 200);
    assert_eq!(count(&db, "accounts WHERE deletion_asked_at IS NOT NULL"), 0);
    assert!(kinds(&db, SAM).contains(&"account.kept".to_owned()));
}
