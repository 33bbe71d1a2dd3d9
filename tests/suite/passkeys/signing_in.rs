//! Signing in with a passkey alone.

use serde_json::{Value, json};

use super::{
    Authenticator, KIM, SAM, Twist, add, answered, ask, assert_signed_out, count, id_of, kinds, serve, serve_two,
    session, sign_in, with_passkey, wrong,
};
use crate::support::{TestDb, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_passkey_alone_signs_in_at_level_2,
    a_wrong_answer_signs_nobody_in,
    nobody_signs_in_as_another_account,
    an_answer_works_once_and_in_one_browser,
    an_answer_works_once_on_two_nodes,
    a_counter_that_does_not_go_up_signs_nobody_in,
    a_removed_passkey_and_a_disabled_account_sign_in_no_more,
    a_question_tells_nothing_and_leaves_nothing,
    wrong_answers_from_one_address_are_slowed_down,
    an_account_that_was_to_be_deleted_is_kept,
    another_host_has_no_passkeys,
}

async fn a_passkey_alone_signs_in_at_level_2(db: TestDb) {
    let server = serve(&db, &[]);
    for (email, is_synced, first) in [(KIM, false, "hwk"), (SAM, true, "swk")] {
        let (mut laptop, mut key) = match is_synced {
            false => with_passkey(&server, email),
            true => (server.client(), Authenticator::synced(&super::origin(&server))),
        };
        if is_synced {
            laptop.log_in(email);
            assert_eq!(add(&mut laptop, &mut key, &Twist::default()).status, 201);
        }
        let mut client = server.client();
        let asked = ask(&mut client, "/sign-in");
        let mut body = answered(&asked, &key.get(&asked["options"], &Twist::default()));
        body["next"] = json!("/devices?a=1");
        let answer = client.json("POST", "/api/passkeys/sign-in", &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json(), json!({"next": "/devices?a=1"}));
        assert!(answer.sets("aiq_session").is_some() && answer.sets("aiq_device").is_some(), "{answer:?}");
        let session = session(&mut client);
        assert_eq!([&session["amr"], &session["aal"]], [&json!([first, "user", "mfa"]), &json!(2)]);
        // A sign-in with a passkey confirms changes too.
        ask(&mut client, "");
        let used = client.get("/api/second-factor").json()["passkeys"][0]["lastUsedAt"].clone();
        assert!(used.is_string(), "{used}");
        let kinds = kinds(&db, email);
        assert!(
            kinds.ends_with(&["login.succeeded", "device.new", "session.created", "passkey.used"].map(String::from)),
            "{kinds:?}"
        );
    }
    assert_eq!(db.sql("SELECT count(*) FROM passkeys WHERE last_used_on IS NOT NULL"), "2");
    let (mut client, mut key) = (server.client(), with_passkey_of(&server, &db));
    let asked = ask(&mut client, "/sign-in");
    let mut body = answered(&asked, &key.get(&asked["options"], &Twist::default()));
    body["next"] = json!("https://evil.example/");
    assert_eq!(client.json("POST", "/api/passkeys/sign-in", &body).json()["next"], "/dashboard");
    assert!(client.get("/metrics").body.contains("sessile_second_factors_total{method=\"passkey\"} 3"));
}

/// A further passkey of Kim's.
fn with_passkey_of(server: &crate::support::App, db: &TestDb) -> Authenticator {
    db.sql(&format!("DELETE FROM passkeys WHERE account_id = '{}'", id_of(db, KIM)));
    db.sql(&format!("UPDATE accounts SET second_factors = 0 WHERE id = '{}'", id_of(db, KIM)));
    with_passkey(server, KIM).1
}

async fn a_wrong_answer_signs_nobody_in(db: TestDb) {
    let server = serve(&db, &[]);
    let (_, mut key) = with_passkey(&server, KIM);
    let mut client = server.client();
    let mut twists = wrong();
    twists.push(("another key", Twist { is_forged: true, ..Twist::default() }));
    twists.push(("no user handle", Twist { user_handle: Some(None), ..Twist::default() }));
    for (name, twist) in twists {
        let answer = sign_in(&mut client, &mut key, &twist);
        assert_eq!((answer.status, answer.problem().as_str()), (401, "passkey-refused"), "{name}: {answer:?}");
        assert!(answer.sets("aiq_session").is_none() && answer.sets("aiq_device").is_none());
        assert_signed_out(&mut client);
    }
    for body in [json!({}), json!({"state": "x", "credential": {}}), json!({"state": "x", "credential": []})] {
        assert_eq!(client.json("POST", "/api/passkeys/sign-in", &body).status, 400, "{body}");
    }
    assert_eq!(kinds(&db, KIM).iter().filter(|kind| *kind == "second-factor.failed").count(), 9);
    assert_eq!(count(&db, "passkeys WHERE warned_at IS NOT NULL"), 0);
    // Nothing of it stands in the way of the right answer.
    assert_eq!(sign_in(&mut client, &mut key, &Twist::default()).status, 200);
}

async fn nobody_signs_in_as_another_account(db: TestDb) {
    let server = serve(&db, &[]);
    let ((_, mut kims), (_, mut sams)) = (with_passkey(&server, KIM), with_passkey(&server, SAM));
    let mut client = server.client();
    let asked = ask(&mut client, "/sign-in");
    let of_kim = kims.get(&asked["options"], &Twist::default());
    let kims_id = super::authenticator::decode(of_kim["id"].as_str().unwrap());
    let kims_handle = super::authenticator::decode(of_kim["response"]["userHandle"].as_str().unwrap());
    for (name, twist) in [
        ("Kim's user handle", Twist { user_handle: Some(Some(kims_handle)), ..Twist::default() }),
        ("Kim's credential", Twist { credential_id: Some(kims_id), ..Twist::default() }),
    ] {
        let answer = sign_in(&mut client, &mut sams, &twist);
        assert_eq!((answer.status, answer.problem().as_str()), (401, "passkey-refused"), "{name}: {answer:?}");
        assert_signed_out(&mut client);
    }
    assert_eq!(sign_in(&mut client, &mut sams, &Twist::default()).status, 200);
    assert_eq!(client.get("/api/session").json()["user"]["email"], SAM);
    // Kim signs in over Sam's session, which ends.
    assert_eq!(sign_in(&mut client, &mut kims, &Twist::default()).status, 200);
    assert_eq!(client.get("/api/session").json()["user"]["email"], KIM);
    assert!(kinds(&db, SAM).contains(&"session.replaced".to_owned()));
}

async fn an_answer_works_once_and_in_one_browser(db: TestDb) {
    let server = serve(&db, &[]);
    let (_, mut key) = with_passkey(&server, KIM);
    let (mut client, mut thief) = (server.client(), server.client());
    let asked = ask(&mut client, "/sign-in");
    let body = answered(&asked, &key.get(&asked["options"], &Twist::default()));
    ask(&mut thief, "/sign-in");
    assert_eq!(thief.json("POST", "/api/passkeys/sign-in", &body).status, 400);
    thief.cookies.clear();
    assert_eq!(thief.json("POST", "/api/passkeys/sign-in", &body).status, 400);
    let mut same = server.client();
    same.cookies = client.cookies.clone();
    assert_eq!(client.json("POST", "/api/passkeys/sign-in", &body).status, 200);
    assert_eq!(same.json("POST", "/api/passkeys/sign-in", &body).problem(), "passkey-refused");
    assert_eq!(client.json("POST", "/api/passkeys/sign-in", &body).problem(), "passkey-refused");
    assert_signed_out(&mut same);
    // A repeated answer is no sign of a copy.
    assert_eq!(count(&db, "passkeys WHERE warned_at IS NOT NULL"), 0);
}

async fn an_answer_works_once_on_two_nodes(db: TestDb) {
    let (_servers, [mut one, mut other]) = serve_two(&db);
    let mut key = Authenticator::synced(super::SHARED);
    one.log_in(KIM);
    assert_eq!(add(&mut one, &mut key, &Twist::default()).status, 201);
    one.cookies.clear();
    let asked = ask(&mut one, "/sign-in");
    let body = answered(&asked, &key.get(&asked["options"], &Twist::default()));
    other.cookies = one.cookies.clone();
    let statuses = std::thread::scope(|scope| {
        let both = [&mut one, &mut other].map(|client| {
            let body = &body;
            scope.spawn(move || client.json("POST", "/api/passkeys/sign-in", body).status)
        });
        both.map(|one| one.join().unwrap())
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.contains(&401), "{statuses:?}");
    assert_eq!(count(&db, "sessions"), 2);
}

async fn a_counter_that_does_not_go_up_signs_nobody_in(db: TestDb) {
    let server = serve(&db, &[]);
    let (_, mut key) = with_passkey(&server, KIM);
    let mut client = server.client();
    assert_eq!(sign_in(&mut client, &mut key, &Twist::default()).status, 200);
    let (data, mut copy) = (db.sql("SELECT data FROM passkeys"), server.client());
    for counter in [2, 1] {
        let answer = sign_in(&mut copy, &mut key, &Twist { counter: Some(counter), ..Twist::default() });
        assert_eq!((answer.status, answer.problem().as_str()), (401, "passkey-refused"), "{answer:?}");
        assert!(answer.body.contains("copy"), "{answer:?}");
        assert_signed_out(&mut copy);
    }
    assert_eq!(db.sql("SELECT data FROM passkeys"), data);
    assert_eq!(count(&db, "passkeys WHERE warned_at IS NOT NULL"), 1);
    let details = db.sql("SELECT DISTINCT detail FROM audit WHERE kind = 'second-factor.failed'");
    assert_eq!(details, "passkey-copied");
    assert!(client.get("/account/security").body.contains("Copied?"));
    // The passkey is taken from nobody.
    key.set_counter(2);
    assert_eq!(sign_in(&mut copy, &mut key, &Twist::default()).status, 200);
}

async fn a_removed_passkey_and_a_disabled_account_sign_in_no_more(db: TestDb) {
    let server = serve(&db, &[]);
    let (mut kim, mut kims) = with_passkey(&server, KIM);
    let (_, mut sams) = with_passkey(&server, SAM);
    let mut client = server.client();
    assert_eq!(super::confirm(&mut kim, &mut kims, &Twist::default()).status, 200);
    let disabled = kim.json("PATCH", &format!("/api/people/{}", id_of(&db, SAM)), &json!({"disabled": true}));
    assert_eq!(disabled.status, 200, "{disabled:?}");
    let answer = sign_in(&mut client, &mut sams, &Twist::default());
    assert_eq!((answer.status, answer.problem().as_str()), (401, "passkey-refused"), "{answer:?}");
    assert_signed_out(&mut client);
    let id = kim.get("/api/second-factor").json()["passkeys"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(kim.send("DELETE", &format!("/api/passkeys/{id}"), &[], b"").status, 204);
    let answer = sign_in(&mut client, &mut kims, &Twist::default());
    assert_eq!((answer.status, answer.problem().as_str()), (404, "passkey-unknown"), "{answer:?}");
    assert_signed_out(&mut client);
}

async fn a_question_tells_nothing_and_leaves_nothing(db: TestDb) {
    let server = serve(&db, &[]);
    let (mut before, mut after) = (server.client(), server.client());
    let names = |asked: &Value| asked["options"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let nobody_has_one = ask(&mut before, "/sign-in");
    drop(with_passkey(&server, KIM));
    let tables = ["spent_proofs", "throttle_counts", "throttle_tries", "devices", "sessions", "audit"];
    let rows = || tables.map(|table| count(&db, table));
    let counted = rows();
    for _ in 0..20 {
        let somebody_has = ask(&mut after, "/sign-in");
        assert_eq!(somebody_has["options"]["allowCredentials"], json!([]));
        assert_eq!(names(&somebody_has), names(&nobody_has_one));
        assert_eq!(somebody_has["state"].as_str().unwrap().len(), nobody_has_one["state"].as_str().unwrap().len());
    }
    assert_eq!(rows(), counted);
    // What a person has shows only after the right password, or to the person.
    let second = after.json("POST", "/api/passkeys/sign-in/options", &json!({"second": true}));
    assert_eq!(second.problem(), "passkey-refused");
    assert_eq!(after.json("POST", "/api/passkeys/confirm/options", &json!({})).problem(), "login-required");
}

async fn wrong_answers_from_one_address_are_slowed_down(db: TestDb) {
    let server = serve(&db, &[]);
    let (_, mut key) = with_passkey(&server, KIM);
    let mut client = server.client();
    let forged = || Twist { is_forged: true, ..Twist::default() };
    for number in 0..50 {
        assert_eq!(sign_in(&mut client, &mut key, &forged()).status, 401, "{number}");
    }
    crate::factor::lengthen_waits(&db);
    let slowed = sign_in(&mut client, &mut key, &forged());
    assert_eq!((slowed.status, slowed.problem().as_str()), (429, "too-many-attempts"));
    assert!(slowed.header("retry-after").is_some());
    // Passwords are counted apart.
    assert_eq!(client.try_log_in(SAM, crate::support::PASSWORD).status, 200);
}

async fn an_account_that_was_to_be_deleted_is_kept(db: TestDb) {
    let server = serve(&db, &[]);
    let (_, mut key) = with_passkey(&server, SAM);
    let mut client = server.client();
    db.sql(&format!("UPDATE accounts SET deletion_asked_at = INSTANT(-60) WHERE id = '{}'", id_of(&db, SAM)));
    // A wrong answer keeps nobody's account.
    let forged = Twist { is_forged: true, ..Twist::default() };
    assert_eq!(sign_in(&mut client, &mut key, &forged).status, 401);
    assert_eq!(count(&db, "accounts WHERE deletion_asked_at IS NOT NULL"), 1);
    assert_eq!(sign_in(&mut client, &mut key, &Twist::default()).status, 200);
    assert_eq!(count(&db, "accounts WHERE deletion_asked_at IS NOT NULL"), 0);
    assert!(kinds(&db, SAM).contains(&"account.kept".to_owned()));
}

async fn another_host_has_no_passkeys(db: TestDb) {
    let server = serve(&db, &[("SESSILE_PUBLIC_URL", "http://127.0.0.1:8098")]);
    let mut client = crate::support::Client::new(&server.address, "http://127.0.0.1:8098");
    let refused = client.json("POST", "/api/passkeys/sign-in/options", &json!({}));
    assert_eq!((refused.status, refused.problem().as_str()), (409, "conflict"));
    assert!(refused.body.contains("IP address"), "{refused:?}");
    assert!(!client.get("/login").body.contains("data-passkey"));
    client.log_in(KIM);
    let page = client.get("/account/security").body;
    assert!(page.contains("no host name") && !page.contains("data-passkey=\"add\""), "{page}");
}
