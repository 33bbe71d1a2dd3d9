//! What an app is told about the person, and how it verifies that.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};
use sessile::{actions::apps::checks::Changes, records::app::Identity};

use super::{Browser, FETCHES, HERE, KIM, SHOP, identity_of, register, serve, shop};
use crate::support::{App, Client, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    the_headers_name_the_person_in_ascii,
    the_remote_headers_come_only_where_they_are_wanted,
    an_assertion_verifies_with_the_published_keys,
    a_new_first_key_keeps_old_assertions_valid,
    the_echo_shows_what_the_proxy_passes_on,
}

fn decoded(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

fn keys(server: &App) -> Value {
    let answer = Client::new(&server.address, HERE).get("/.well-known/jwks.json");
    assert!(
        answer.status == 200 && answer.header("cache-control").unwrap().starts_with("public, max-age="),
        "{answer:?}"
    );
    answer.json()
}

/// The claims of an assertion that one of these keys signed.
fn verified(assertion: &str, keys: &Value) -> Value {
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decoded(header)).unwrap();
    assert_eq!((&header["alg"], &header["typ"]), (&json!("ES256"), &json!("JWT")));
    let keys = keys["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap_or_else(|| panic!("no key {header}"));
    let coordinate = |name: &str| decoded(key[name].as_str().unwrap());
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &decoded(signature))
        .expect("a signature");
    serde_json::from_slice(&decoded(claims)).unwrap()
}

async fn the_headers_name_the_person_in_ascii(db: TestDb) {
    let (server, app) = shop(&db).await;
    db.sql("UPDATE accounts SET name = 'Zoë 100%' WHERE email = 'kim@example.com'");
    let mut browser = Browser::in_app(&server, &app, KIM);
    let answer = browser.ask(&FETCHES);
    let session = browser.session_id();
    let id = db.sql("SELECT id FROM accounts WHERE email = 'kim@example.com'");
    let found = identity_of(&answer);
    let value = |name: &str| found.iter().find(|(one, _)| *one == name).unwrap().1;
    assert_eq!((value("x-sessile-user"), value("x-sessile-email")), (id.as_str(), KIM));
    assert_eq!((value("x-sessile-name"), value("x-sessile-role")), ("Zo%C3%AB 100%25", "owner"));
    assert_eq!((value("x-sessile-groups"), value("x-sessile-session")), ("", session.as_str()));
    assert!(found.iter().all(|(_, value)| value.is_ascii()));
}

async fn the_remote_headers_come_only_where_they_are_wanted(db: TestDb) {
    add_user(&db, KIM, "owner");
    let app = register(&db, SHOP, Changes { identity: Some(Identity::Remote), ..Changes::default() }).await;
    let server = serve(&db);
    let answer = Browser::in_app(&server, &app, KIM).ask(&FETCHES);
    let remote: Vec<_> = identity_of(&answer).into_iter().filter(|(name, _)| name.starts_with("remote-")).collect();
    let mut remote = remote;
    remote.sort_unstable();
    assert_eq!(
        remote,
        [("remote-email", KIM), ("remote-groups", ""), ("remote-name", "Kim Lee"), ("remote-user", KIM)]
    );
}

async fn an_assertion_verifies_with_the_published_keys(db: TestDb) {
    let (server, app) = shop(&db).await;
    db.sql("UPDATE accounts SET groups = 'Night,Till staff', name = 'Zoë' WHERE email = 'kim@example.com'");
    let mut browser = Browser::in_app(&server, &app, KIM);
    let answer = browser.ask(&FETCHES);
    let claims = verified(answer.header("x-sessile-assertion").unwrap(), &keys(&server));
    let id = answer.header("x-sessile-user").unwrap();
    for (name, expected) in [
        ("iss", json!(HERE)),
        ("aud", json!(SHOP)),
        ("sub", json!(id)),
        ("email", json!(KIM)),
        ("name", json!("Zoë")),
        ("role", json!("owner")),
        ("groups", json!(["Night", "Till staff"])),
        ("sid", json!(browser.session_id())),
        ("amr", json!(["pwd"])),
    ] {
        assert_eq!(claims[name], expected, "{name}");
    }
    let time = |name: &str| claims[name].as_i64().unwrap();
    assert_eq!(time("exp") - time("iat"), 60);
    let now: i64 = match db.engine {
        crate::support::Engine::Sqlite => db.sql("SELECT unixepoch()"),
        crate::support::Engine::Postgres => db.sql("SELECT extract(epoch FROM now())::bigint"),
    }
    .parse()
    .unwrap();
    assert!((now - time("iat")).abs() <= 5 && time("auth_time") <= time("iat"), "{claims}");
    assert_eq!(identity_of(&answer).len(), 7);
}

async fn a_new_first_key_keeps_old_assertions_valid(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    let old = browser.ask(&FETCHES).header("x-sessile-assertion").unwrap().to_owned();
    drop(server);
    let line = base64::prelude::BASE64_STANDARD.encode([7; 64]);
    let file = std::fs::read_to_string(db.key_file()).unwrap();
    std::fs::write(db.key_file(), format!("{line}\n{file}")).unwrap();
    let server = serve(&db);
    let published = keys(&server);
    assert_eq!(published["keys"].as_array().unwrap().len(), 2);
    verified(&old, &published);
    let mut browser = browser.at(&server);
    let new = browser.ask(&FETCHES).header("x-sessile-assertion").unwrap().to_owned();
    assert_ne!(new.split('.').next(), old.split('.').next());
    verified(&new, &published);
}

async fn the_echo_shows_what_the_proxy_passes_on(db: TestDb) {
    let (server, app) = shop(&db).await;
    let mut browser = Browser::in_app(&server, &app, KIM);
    // The gate lets it pass without a person, signed in or not.
    let asked = browser.ask_about("GET", "/.sessile/echo", &FETCHES);
    assert_eq!((asked.status, asked.header("x-sessile-user")), (200, Some("")), "{asked:?}");
    let echo = browser.at_app("/.sessile/echo");
    let headers = &echo.json()["headers"];
    assert_eq!(headers["x-forwarded-host"], json!(["shop.example.com"]));
    assert_eq!(headers["cookie"], json!(["…"]), "scripts of the app could read the cookie");
    assert_eq!(echo.header("strict-transport-security"), None);
}
