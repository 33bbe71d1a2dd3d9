//! Confirming with a passkey, and what a password alone confirms no more.

use serde_json::json;

use super::{
    KIM, SAM, Twist, answered, ask, confirm, count, kinds, let_confirmations_lapse, serve, session, sign_in,
    with_passkey, wrong,
};
use crate::support::{PASSWORD, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_passkey_confirms_and_raises_the_level,
    a_password_alone_confirms_no_change_of_a_passkey_account,
    a_wrong_answer_confirms_nothing,
    a_confirmation_is_for_one_session_and_one_use,
    a_confirmation_ends_other_sessions_at_once,
}

async fn a_passkey_confirms_and_raises_the_level(db: TestDb) {
    let server = serve(&db, &[]);
    let (mut client, mut key) = with_passkey(&server, KIM);
    assert_eq!(session(&mut client)["aal"], 1);
    let (old, cookies) = (session(&mut client)["id"].clone(), client.cookies.clone());
    let page = client.get("/confirm?next=/account").body;
    assert!(page.contains("data-passkey=\"confirm\"") && page.contains("data-next=\"/account\""), "{page}");
    let asked = ask(&mut client, "/confirm");
    let mut body = answered(&asked, &key.get(&asked["options"], &Twist::default()));
    body["next"] = json!("/account");
    let answer = client.json("POST", "/api/passkeys/confirm", &body);
    assert_eq!((answer.status, answer.json()), (200, json!({"next": "/account"})), "{answer:?}");
    assert!(answer.sets("aiq_session").is_some());
    let session = session(&mut client);
    assert_eq!([&session["amr"], &session["aal"]], [&json!(["pwd", "hwk", "user", "mfa"]), &json!(2)]);
    assert_ne!(session["id"], old);
    let mut before = server.client();
    before.cookies = cookies;
    assert_eq!(before.get("/api/session").status, 401);
    let kinds = kinds(&db, KIM);
    assert_eq!(kinds[kinds.len() - 3..], ["login.confirmed", "session.regenerated", "passkey.used"]);
    ask(&mut client, "");
}

async fn a_password_alone_confirms_no_change_of_a_passkey_account(db: TestDb) {
    let server = serve(&db, &[]);
    let (mut client, mut key) = with_passkey(&server, KIM);
    assert_eq!(sign_in(&mut client, &mut key, &Twist::default()).status, 200);
    let_confirmations_lapse(&db);
    let csrf = client.form_token("/confirm");
    let answer = client.form("/confirm", &[("csrf", &csrf), ("password", PASSWORD), ("next", "/account")]);
    assert_eq!(answer.header("location"), Some("/account"), "{answer:?}");
    // The password is good for what it was good for before, and for nothing that changes how the person signs in.
    assert_eq!(client.json("POST", "/api/sessions/revoke-others", &json!({})).status, 200);
    let id = client.get("/api/second-factor").json()["passkeys"][0]["id"].as_str().unwrap().to_owned();
    for (method, path) in [
        ("POST", "/api/passkeys/options".to_owned()),
        ("DELETE", format!("/api/passkeys/{id}")),
        ("POST", "/api/second-factor/app".to_owned()),
        ("POST", "/api/second-factor/recovery-codes".to_owned()),
    ] {
        let refused = client.json(method, &path, &json!({}));
        assert_eq!((refused.status, refused.problem().as_str()), (403, "confirmation-required"), "{path}");
    }
    let page = client.get(&format!("/account/security/passkeys/{id}/remove"));
    let there = format!("/confirm?level=2&next=%2Faccount%2Fsecurity%2Fpasskeys%2F{id}%2Fremove");
    assert_eq!((page.status, page.header("location")), (303, Some(there.as_str())));
    let csrf = client.form_token("/confirm?level=2");
    let answer = client.form("/confirm", &[("csrf", &csrf), ("password", PASSWORD), ("level", "2")]);
    assert_eq!(answer.status, 422, "{answer:?}");
    assert_eq!(count(&db, "passkeys"), 1);
    assert_eq!(confirm(&mut client, &mut key, &Twist::default()).status, 200);
    assert_eq!(client.get(&format!("/account/security/passkeys/{id}/remove")).status, 200);
}

async fn a_wrong_answer_confirms_nothing(db: TestDb) {
    let server = serve(&db, &[]);
    let (mut client, mut key) = with_passkey(&server, KIM);
    let (_, mut sams) = with_passkey(&server, SAM);
    let id = session(&mut client)["id"].clone();
    for (name, twist) in wrong() {
        let answer = confirm(&mut client, &mut key, &twist);
        assert_eq!((answer.status, answer.problem().as_str()), (401, "passkey-refused"), "{name}: {answer:?}");
    }
    let asked = ask(&mut client, "/confirm");
    let any = json!({"challenge": asked["options"]["challenge"], "rpId": "localhost"});
    let body = answered(&asked, &sams.get(&any, &Twist::default()));
    assert_eq!(client.json("POST", "/api/passkeys/confirm", &body).status, 401, "Sam's passkey is none of Kim's");
    assert_eq!(session(&mut client)["id"], id);
    assert_eq!(session(&mut client)["aal"], 1);
}

async fn a_confirmation_is_for_one_session_and_one_use(db: TestDb) {
    let server = serve(&db, &[]);
    let (mut client, mut key) = with_passkey(&server, KIM);
    let mut other = server.client();
    assert_eq!(sign_in(&mut other, &mut key, &Twist::default()).status, 200);
    let asked = ask(&mut client, "/confirm");
    let body = answered(&asked, &key.get(&asked["options"], &Twist::default()));
    ask(&mut other, "/confirm");
    assert_eq!(other.json("POST", "/api/passkeys/confirm", &body).status, 400);
    assert_eq!(client.json("POST", "/api/passkeys/confirm", &body).status, 200);
    assert_eq!(client.json("POST", "/api/passkeys/confirm", &body).problem(), "passkey-refused");
    // Nor does it sign anybody in.
    let mut visitor = server.client();
    ask(&mut visitor, "/sign-in");
    assert_eq!(visitor.json("POST", "/api/passkeys/sign-in", &body).status, 400);
}

async fn a_confirmation_ends_other_sessions_at_once(db: TestDb) {
    let server = serve(&db, &[]);
    let (mut client, mut key) = with_passkey(&server, KIM);
    let mut other = server.client();
    assert_eq!(sign_in(&mut other, &mut key, &Twist::default()).status, 200);
    let asked = ask(&mut client, "/confirm");
    let mut body = answered(&asked, &key.get(&asked["options"], &Twist::default()));
    body["then"] = json!("nonsense");
    assert_eq!(client.json("POST", "/api/passkeys/confirm", &body).status, 404);
    body["then"] = json!("others");
    assert_eq!(client.json("POST", "/api/passkeys/confirm", &body).status, 200);
    assert_eq!(other.get("/api/session").status, 401);
    assert_eq!(client.get("/api/session").status, 200);
    // The own session, which then needs a new sign-in.
    let id = session(&mut client)["id"].as_str().unwrap().to_owned();
    let asked = ask(&mut client, "/confirm");
    let mut body = answered(&asked, &key.get(&asked["options"], &Twist::default()));
    body["then"] = json!(format!("session:{id}"));
    let answer = client.json("POST", "/api/passkeys/confirm", &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json()["next"].as_str().unwrap().starts_with("/login?ended=aiq_"), "{answer:?}");
    assert_eq!(client.get("/api/session").status, 401);
}
