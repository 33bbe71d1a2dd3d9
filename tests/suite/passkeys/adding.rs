//! Adding a passkey.

use serde_json::json;

use super::{
    Authenticator, KIM, SAM, Twist, add, answered, ask, confirm, count, kinds, let_confirmations_lapse, origin, serve,
    serve_two, session, wrong,
};
use crate::support::{PASSWORD, TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    the_first_passkey_brings_recovery_codes_and_raises_no_level,
    a_passkey_needs_a_recent_confirmation,
    a_wrong_answer_adds_nothing,
    a_question_is_for_one_session_and_one_use,
    a_passkey_is_named_after_its_authenticator,
    an_account_has_at_most_twenty_passkeys,
    a_question_of_one_node_is_answered_on_another,
}

async fn the_first_passkey_brings_recovery_codes_and_raises_no_level(db: TestDb) {
    let server = serve(&db, &[]);
    let (mut client, mut key) = (server.client(), Authenticator::new(&origin(&server)));
    client.log_in(KIM);
    let asked = ask(&mut client, "");
    let (options, selection) = (&asked["options"], &asked["options"]["authenticatorSelection"]);
    assert_eq!(options["rp"]["id"], "localhost");
    assert_eq!(options["user"]["name"], KIM);
    assert_eq!(options["attestation"], "none");
    assert_eq!([&selection["residentKey"], &selection["userVerification"]], ["required", "required"]);
    let credential = key.create(options, &Twist::default());
    let added = client.json("POST", "/api/passkeys", &answered(&asked, &credential));
    assert_eq!(added.status, 201, "{added:?}");
    assert_eq!(added.header("cache-control"), Some("no-store"));
    let added = added.json();
    assert_eq!(added["recoveryCodes"].as_array().unwrap().len(), 10, "{added}");
    assert_eq!(added["passkey"]["lastUsedAt"], json!(null));
    let present = client.get("/api/second-factor").json();
    assert_eq!(present["passkeys"][0]["id"], added["passkey"]["id"]);
    assert_eq!([&present["app"], &present["recoveryLeft"]], [&json!(false), &json!(10)]);
    assert_eq!(session(&mut client)["aal"], 1, "a set-up proves nothing about the person");
    assert_eq!(kinds(&db, KIM)[3..], ["session.created", "passkey.added", "recovery.made"]);
    // The key that signs in is not what the browser is told.
    let page = client.get("/account/security").body;
    assert!(page.contains("data-accepted=\"") && !page.contains("cred_id"), "{page}");
    assert!(page.contains("/confirm?level=2") && !page.contains("data-passkey=\"add\""), "{page}");
    // From now on a change needs the passkey.
    let refused = client.json("POST", "/api/passkeys/options", &json!({}));
    assert_eq!((refused.status, refused.problem().as_str()), (403, "confirmation-required"));
    assert_eq!(confirm(&mut client, &mut key, &Twist::default()).status, 200);
    let excluded = ask(&mut client, "")["options"]["excludeCredentials"].clone();
    assert_eq!(excluded.as_array().unwrap().len(), 1, "{excluded}");
    let second = add(&mut client, &mut Authenticator::synced(&origin(&server)), &Twist::default()).json();
    assert_eq!(second["recoveryCodes"], json!(null), "codes come with the first factor only");
    assert_eq!(db.sql("SELECT DISTINCT rp_id FROM passkeys"), "localhost");
}

async fn a_passkey_needs_a_recent_confirmation(db: TestDb) {
    let server = serve(&db, &[]);
    let (mut client, mut key) = (server.client(), Authenticator::new(&origin(&server)));
    assert_eq!(client.json("POST", "/api/passkeys/options", &json!({})).problem(), "login-required");
    client.log_in(KIM);
    let asked = ask(&mut client, "");
    let_confirmations_lapse(&db);
    assert_eq!(client.json("POST", "/api/passkeys/options", &json!({})).problem(), "confirmation-required");
    // A stolen session cannot use a question that was asked before either.
    let late = answered(&asked, &key.create(&asked["options"], &Twist::default()));
    assert_eq!(client.json("POST", "/api/passkeys", &late).problem(), "confirmation-required");
    assert_eq!((count(&db, "passkeys"), count(&db, "account_of_passkey")), (0, 0));
    client.log_in(KIM);
    assert_eq!(add(&mut client, &mut key, &Twist::default()).status, 201);
}

async fn a_wrong_answer_adds_nothing(db: TestDb) {
    let server = serve(&db, &[]);
    let (mut client, mut key) = (server.client(), Authenticator::new(&origin(&server)));
    client.log_in(KIM);
    for (name, twist) in wrong() {
        let answer = add(&mut client, &mut key, &twist);
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid-request"), "{name}: {answer:?}");
    }
    for body in [json!({}), json!([]), json!({"state": "x", "credential": {}}), json!({"state": 7, "credential": 7})] {
        assert_eq!(client.json("POST", "/api/passkeys", &body).status, 400, "{body}");
    }
    assert_eq!((count(&db, "passkeys"), count(&db, "recovery_codes")), (0, 0));
}

async fn a_question_is_for_one_session_and_one_use(db: TestDb) {
    let server = serve(&db, &[]);
    let (mut client, mut key) = (server.client(), Authenticator::new(&origin(&server)));
    client.log_in(KIM);
    let asked = ask(&mut client, "");
    let body = answered(&asked, &key.create(&asked["options"], &Twist::default()));
    for email in [KIM, SAM] {
        let mut other = server.client();
        other.log_in(email);
        other.get("/login");
        ask(&mut other, "");
        assert_eq!(other.json("POST", "/api/passkeys", &body).status, 400, "{email}");
    }
    // The state of a sign-in is not that of a new passkey.
    let mixed = json!({"state": ask(&mut client, "/sign-in")["state"], "credential": body["credential"]});
    assert_eq!(client.json("POST", "/api/passkeys", &mixed).status, 400);
    assert_eq!(client.json("POST", "/api/passkeys", &body).status, 201);
    let again = client.json("POST", "/api/passkeys", &body);
    assert!(again.status == 400 || again.status == 403, "{again:?}");
    assert_eq!(count(&db, "passkeys"), 1);
}

async fn a_passkey_is_named_after_its_authenticator(db: TestDb) {
    let server = serve(&db, &[]);
    let (mut client, mut key) = (server.client(), Authenticator::synced(&origin(&server)));
    let device = json!({"email": KIM, "password": PASSWORD, "device": {"name": "Kim's laptop"}});
    assert_eq!(client.json("POST", "/api/establish-session", &device).status, 200);
    let first = add(&mut client, &mut key, &Twist::default());
    assert_eq!(first.json()["passkey"]["name"], "Kim's laptop");
    key.aaguid = 0xbada5566_a7aa_401f_bd96_45619a55120d_u128.to_be_bytes();
    for name in ["1Password", "1Password 2"] {
        assert_eq!(confirm(&mut client, &mut key, &Twist::default()).status, 200);
        assert_eq!(add(&mut client, &mut key, &Twist::default()).json()["passkey"]["name"], name);
    }
    let asked = ask(&mut client, "");
    let mut body = answered(&asked, &key.create(&asked["options"], &Twist::default()));
    body["name"] = json!(" ");
    assert_eq!(client.json("POST", "/api/passkeys", &body).json()["passkey"]["name"], "1Password 3");
    let asked = ask(&mut client, "");
    let mut body = answered(&asked, &key.create(&asked["options"], &Twist::default()));
    body["name"] = json!("a\u{202e}b");
    assert_eq!(client.json("POST", "/api/passkeys", &body).status, 400);
    body["name"] = json!("  Work phone ");
    assert_eq!(client.json("POST", "/api/passkeys", &body).json()["passkey"]["name"], "Work phone");
}

async fn an_account_has_at_most_twenty_passkeys(db: TestDb) {
    let server = serve(&db, &[]);
    let (mut client, mut key) = (server.client(), Authenticator::new(&origin(&server)));
    client.log_in(KIM);
    assert_eq!(add(&mut client, &mut key, &Twist::default()).status, 201);
    assert_eq!(confirm(&mut client, &mut key, &Twist::default()).status, 200);
    let asked = ask(&mut client, "");
    for number in 2..=20 {
        db.sql(&format!(
            "INSERT INTO passkeys (account_id, id, credential_id, data, name, created_at, rp_id) SELECT account_id, 'pk_{number}', \
             credential_id, data, 'Key {number}', created_at, rp_id FROM passkeys WHERE id LIKE 'pk\\_______________________' ESCAPE '\\'"
        ));
    }
    assert_eq!(count(&db, "passkeys"), 20);
    let body = answered(&asked, &key.create(&asked["options"], &Twist::default()));
    assert_eq!(client.json("POST", "/api/passkeys", &body).problem(), "conflict");
    assert_eq!(client.json("POST", "/api/passkeys/options", &json!({})).problem(), "conflict");
    assert!(client.get("/account/security").body.contains("as many passkeys as an account may have"));
}

async fn a_question_of_one_node_is_answered_on_another(db: TestDb) {
    let (_servers, [mut one, mut other]) = serve_two(&db);
    let mut key = Authenticator::new(super::SHARED);
    one.log_in(KIM);
    let asked = ask(&mut one, "");
    let body = answered(&asked, &key.create(&asked["options"], &Twist::default()));
    other.cookies = one.cookies.clone();
    assert_eq!(other.json("POST", "/api/passkeys", &body).status, 201);
    // The first node knows at once that the account has a second factor.
    assert_eq!(one.json("POST", "/api/passkeys/options", &json!({})).problem(), "confirmation-required");
}
