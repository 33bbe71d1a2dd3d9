//! Looking after passkeys: names, removal, the offer to make one, and what becomes of them with the account.

use serde_json::json;

use super::{
    Authenticator, KIM, SAM, Twist, add, confirm, count, id_of, kinds, let_confirmations_lapse, origin, serve, sign_in,
    with_passkey,
};
use crate::support::{Client, Server, TestDb, command, eventually, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_passkey_is_renamed_by_page_and_api,
    a_passkey_is_removed_by_page_and_api,
    the_last_factor_stays_where_the_account_needs_it,
    the_passkeys_of_others_are_not_found,
    a_passkey_is_offered_once_after_a_password,
    passkeys_are_exported_and_go_with_the_account,
    passkeys_of_another_host_are_reported,
}

fn first_id(client: &mut Client) -> String {
    client.get("/api/second-factor").json()["passkeys"][0]["id"].as_str().unwrap().to_owned()
}

async fn a_passkey_is_renamed_by_page_and_api(db: TestDb) {
    let server = serve(&db, &[]);
    let (mut client, _) = with_passkey(&server, KIM);
    let id = first_id(&mut client);
    // A name needs no confirmation.
    let_confirmations_lapse(&db);
    let renamed = client.json("PATCH", &format!("/api/passkeys/{id}"), &json!({"name": " Blue key "}));
    assert_eq!((renamed.status, &renamed.json()["name"]), (200, &json!("Blue key")), "{renamed:?}");
    let page = format!("/account/security/passkeys/{id}");
    let csrf = client.form_token(&page);
    let wrong = client.form(&page, &[("csrf", &csrf), ("name", " ")]);
    assert!(wrong.status == 422 && wrong.body.contains("name-error"), "{wrong:?}");
    let answer = client.form(&page, &[("csrf", &csrf), ("name", "<Red & key>")]);
    assert_eq!(answer.header("location"), Some("/account/security?done=passkey-renamed"), "{answer:?}");
    let list = client.get("/account/security?done=passkey-renamed").body;
    assert!(list.contains("&#60;Red &#38; key&#62;") && list.contains("has its new name"), "{list}");
    let stale = client.form(&page, &[("csrf", "x"), ("name", "Green key")]);
    assert!(stale.status == 422 && stale.body.contains("Green key"), "{stale:?}");
    for body in [json!({"name": ""}), json!({"name": "a".repeat(61)}), json!({})] {
        assert_eq!(client.json("PATCH", &format!("/api/passkeys/{id}"), &body).status, 400, "{body}");
    }
    assert_eq!(kinds(&db, KIM).iter().filter(|kind| *kind == "passkey.renamed").count(), 2);
    let details = db.sql("SELECT detail FROM audit WHERE kind = 'passkey.renamed' ORDER BY id DESC");
    assert!(details.starts_with("<Red & key>, before: Blue key"), "{details}");
}

async fn a_passkey_is_removed_by_page_and_api(db: TestDb) {
    let server = serve(&db, &[]);
    let (mut client, mut key) = with_passkey(&server, KIM);
    assert_eq!(confirm(&mut client, &mut key, &Twist::default()).status, 200);
    assert_eq!(add(&mut client, &mut Authenticator::synced(&origin(&server)), &Twist::default()).status, 201);
    let mut other = server.client();
    assert_eq!(sign_in(&mut other, &mut key, &Twist::default()).status, 200);
    let page = format!("/account/security/passkeys/{}/remove", first_id(&mut client));
    assert!(!client.get(&page).body.contains("only second factor"));
    let csrf = client.form_token(&page);
    assert_eq!(client.form(&page, &[("csrf", "x")]).status, 422);
    assert_eq!(count(&db, "passkeys"), 2);
    let answer = client.form(&page, &[("csrf", &csrf)]);
    assert_eq!(answer.header("location"), Some("/account/security?done=passkey-removed"), "{answer:?}");
    assert_eq!(client.get(&page).status, 404);
    let last = first_id(&mut client);
    assert!(client.get(&format!("/account/security/passkeys/{last}/remove")).body.contains("only second factor"));
    assert_eq!(client.send("DELETE", &format!("/api/passkeys/{last}"), &[], b"").status, 204);
    assert_eq!(client.send("DELETE", &format!("/api/passkeys/{last}"), &[], b"").status, 404);
    let present = client.get("/api/second-factor").json();
    assert_eq!(present, json!({"passkeys": [], "app": false, "recoveryLeft": 0}));
    assert_eq!((count(&db, "passkeys"), count(&db, "account_of_passkey"), count(&db, "recovery_codes")), (0, 0, 0));
    // A removal ends nothing, and from now on the password is enough again.
    assert_eq!(other.get("/api/session").status, 200);
    assert_eq!(server.client().log_in(KIM).status, 200);
    assert_eq!(kinds(&db, KIM).iter().filter(|kind| *kind == "passkey.removed").count(), 2);
}

async fn the_last_factor_stays_where_the_account_needs_it(db: TestDb) {
    let server = serve(&db, &[("SESSILE_SECOND_FACTOR", "admins")]);
    for (email, words, set) in
        [(KIM, "requires a second factor", ""), (SAM, "longer password", "short_password = TRUE")]
    {
        let (mut client, mut key) = (server.client(), Authenticator::new(&origin(&server)));
        client.log_in(email);
        assert_eq!(add(&mut client, &mut key, &Twist::default()).status, 201);
        if !set.is_empty() {
            db.sql(&format!("UPDATE accounts SET {set} WHERE id = '{}'", id_of(&db, email)));
        }
        assert_eq!(confirm(&mut client, &mut key, &Twist::default()).status, 200);
        let id = first_id(&mut client);
        let refused = client.send("DELETE", &format!("/api/passkeys/{id}"), &[], b"");
        assert_eq!((refused.status, refused.problem().as_str()), (409, "conflict"), "{refused:?}");
        assert!(refused.body.contains(words), "{refused:?}");
        let page = format!("/account/security/passkeys/{id}/remove");
        let csrf = client.form_token(&page);
        let answer = client.form(&page, &[("csrf", &csrf)]);
        assert!(answer.status == 409 && answer.body.contains(words), "{answer:?}");
        // Another one may go.
        assert_eq!(add(&mut client, &mut key, &Twist::default()).status, 201);
        assert_eq!(client.send("DELETE", &format!("/api/passkeys/{id}"), &[], b"").status, 204);
    }
}

async fn the_passkeys_of_others_are_not_found(db: TestDb) {
    let server = serve(&db, &[]);
    let ((mut kim, mut key), (mut sam, _)) = (with_passkey(&server, KIM), with_passkey(&server, SAM));
    assert_eq!(confirm(&mut kim, &mut key, &Twist::default()).status, 200);
    let id = first_id(&mut sam);
    for id in [id.as_str(), "pk_0000000000000000000000", "%00", "a%20b"] {
        assert_eq!(kim.json("PATCH", &format!("/api/passkeys/{id}"), &json!({"name": "Mine"})).status, 404, "{id}");
        assert_eq!(kim.send("DELETE", &format!("/api/passkeys/{id}"), &[], b"").status, 404, "{id}");
        assert_eq!(kim.get(&format!("/account/security/passkeys/{id}")).status, 404, "{id}");
        assert_eq!(kim.get(&format!("/account/security/passkeys/{id}/remove")).status, 404, "{id}");
    }
    assert_eq!(count(&db, "passkeys"), 2);
}

async fn a_passkey_is_offered_once_after_a_password(db: TestDb) {
    let server = serve(&db, &[]);
    let mut client = server.client();
    client.log_in(KIM);
    assert!(client.get("/dashboard").body.contains("data-passkey-offer"));
    assert_eq!(client.json("POST", "/api/passkeys/offer", &json!({})).json(), json!({"offer": true}));
    let mut other = server.client();
    other.log_in(KIM);
    assert_eq!(other.send("POST", "/api/passkeys/offer", &[], b"").json(), json!({"offer": false}));
    let (mut sam, _) = with_passkey(&server, SAM);
    assert!(!sam.get("/dashboard").body.contains("data-passkey-offer"));
    assert_eq!(sam.json("POST", "/api/passkeys/offer", &json!({})).json(), json!({"offer": false}));
}

async fn passkeys_are_exported_and_go_with_the_account(db: TestDb) {
    let server = serve(&db, &[]);
    let ((mut kim, mut key), (mut sam, mut sams)) = (with_passkey(&server, KIM), with_passkey(&server, SAM));
    assert_eq!(sign_in(&mut sam, &mut sams, &Twist::default()).status, 200);
    let export = sam.get("/api/account/export").json();
    assert_eq!(export["passkeys"][0]["host"], "localhost", "{export}");
    assert!(export["passkeys"][0]["lastUsedOn"].is_string(), "{export}");
    assert_eq!(confirm(&mut kim, &mut key, &Twist::default()).status, 200);
    let sams_id = id_of(&db, SAM);
    assert_eq!(kim.send("DELETE", &format!("/api/people/{sams_id}"), &[], b"").status, 204);
    for table in ["passkeys", "account_of_passkey", "recovery_codes", "spent_proofs"] {
        assert_eq!(count(&db, &format!("{table} WHERE account_id = '{sams_id}'")), 0, "{table}");
    }
    assert_eq!(sign_in(&mut sam, &mut sams, &Twist::default()).status, 404);
}

/// After a move to another host, the start warns, and `doctor` fails.
async fn passkeys_of_another_host_are_reported(db: TestDb) {
    let server = serve(&db, &[]);
    drop(with_passkey(&server, KIM));
    drop(server);
    let doctor = |more: &[(&str, &str)]| {
        let mut program = command(&db, &[("SESSILE_LOG", "off"), ("SESSILE_LISTEN", "127.0.0.1:0")]);
        program.envs(more.iter().copied()).arg("doctor");
        String::from_utf8(program.output().unwrap().stdout).unwrap()
    };
    let said = doctor(&[]);
    assert!(said.contains("ok  passkeys: browsers can have passkeys for localhost"), "{said}");
    for (public, words) in [("http://127.0.0.1:8097", "IP address"), ("http://app.localhost:8097", "app.localhost")] {
        let moved = [("SESSILE_PUBLIC_URL", public)];
        let said = doctor(&moved);
        assert!(said.contains("FAIL passkeys: 1 passkey was made for another host") && said.contains(words), "{said}");
        let server = Server::start(&db, &moved);
        let warning = "passkeys: 1 passkey was made for another host";
        eventually("the start warns", async || server.log().contains(warning)).await;
    }
}
