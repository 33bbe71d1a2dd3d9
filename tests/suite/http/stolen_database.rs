//! A copy of the database or of the log is not enough to sign in.

use actix_web::cookie::{Cookie, CookieJar, Key};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sessile::base::keys::Keys;

use super::{KIM, log_in_by_form, parts_of, session_id};
use crate::support::{Engine, PASSWORD, Served, Server, TestDb};

#[test]
fn a_dump_of_the_database_opens_no_session() {
    let db = TestDb::new(Engine::Sqlite);
    let server = Server::start(&db, &[("SESSILE_LOG", "trace")]);
    let unused = Server::start(&db, &[]);
    let link = server.setup_token();
    let still_good = unused.setup_token();
    let mut owner = server.client();
    let csrf = owner.form_token(&format!("/setup?token={link}"));
    let fields =
        [("csrf", csrf.as_str()), ("token", &link), ("email", KIM), ("name", "Kim Lee"), ("password", PASSWORD)];
    assert_eq!(owner.form("/setup", &fields).status, 303);
    let mut by_form = server.client();
    log_in_by_form(&mut by_form, KIM, "");
    let mut by_api = server.client();
    by_api.log_in(KIM);
    by_api.log_in(KIM);
    assert_eq!(by_api.try_log_in(KIM, "a wrong password 1").status, 401);
    let clients = [owner, by_form, by_api];

    let mut secrets = vec![link, still_good, PASSWORD.to_owned(), "a wrong password 1".to_owned(), csrf];
    for client in &clients {
        let (signature, _, secret) = parts_of(&client.cookies["aiq_session"]);
        secrets.extend([signature, secret, client.cookies["aiq_device"].clone()]);
        secrets.extend(client.cookies.get("aiq_visitor").cloned());
    }
    let dump = database_files(&db);
    let log = server.log();
    assert!(log.contains("answered") && log.lines().count() > 10, "{log}");
    for secret in &secrets {
        assert!(!holds(&dump, secret.as_bytes()), "{secret} is in the database");
        assert!(!log.contains(secret), "{secret} is in the log");
        if let Ok(raw) = BASE64_URL_SAFE_NO_PAD.decode(secret) {
            assert!(!holds(&dump, &raw), "{secret} is in the database as bytes");
        }
    }
    assert!(clients.iter().all(|client| client.clone().get("/api/session").status == 200));
    forge(&db, &server, &parts_of(&clients[0].cookies["aiq_session"]).0);
}

/// Tries cookies forged from everything that the dump contains about sessions and devices.
fn forge(db: &TestDb, server: &Served, stolen_signature: &str) {
    let own = Keys::read_or_make(std::path::Path::new(&db.key_file())).expect("keys");
    let fingerprint = db.sql("SELECT key_fingerprint FROM instance");
    let derived = Key::derive_from(fingerprint.repeat(4).as_bytes());
    let hashes = db.sql("SELECT hex(secret_hash) FROM sessions UNION ALL SELECT hex(secret_hash) FROM devices");
    // Keys in both forms: with the account's part, and in the old form without it.
    let both = "SELECT id FROM sessions UNION ALL SELECT id || '.' || substr(account_id, 5) FROM sessions";
    for id in db.sql(both).lines() {
        for hash in hashes.lines() {
            let bytes: Vec<u8> =
                (0..32).map(|at| u8::from_str_radix(&hash[at * 2..at * 2 + 2], 16).expect("hex")).collect();
            for secret in
                [BASE64_URL_SAFE_NO_PAD.encode(&bytes), hash.to_lowercase(), hash[..43].to_owned(), String::new()]
            {
                let key = format!("{id}.{secret}");
                let cookies = [
                    key.clone(),
                    format!("{stolen_signature}{key}"),
                    signed(&derived, &key),
                    signed(&Key::from(&[0; 64]), &key),
                    // Even with the key file: only the browser has the secret.
                    own.sign_cookie("aiq_session", key.clone()).value().to_owned(),
                    own.sign_cookie("aiq_session", id.to_owned()).value().to_owned(),
                ];
                for cookie in cookies {
                    let mut client = server.client();
                    let encoded = Cookie::new("it", cookie).encoded().to_string();
                    client.cookies.insert("aiq_session".into(), encoded.split_once('=').expect("a pair").1.to_owned());
                    let answer = client.get("/api/session");
                    assert_eq!((answer.status, answer.problem().as_str()), (401, "session-ended"), "{key}");
                    assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
                }
            }
        }
    }
    let links = db.sql("SELECT hex(token_hash) FROM links WHERE expires_at > INSTANT(0)");
    assert!(links.is_empty(), "creating the owner uses up all links: {links}");
}

#[test]
fn a_setup_link_cannot_be_made_from_the_dump() {
    let db = TestDb::new(Engine::Sqlite);
    let server = Server::start(&db, &[]);
    let link = server.setup_token();
    let dump = database_files(&db);
    assert!(!holds(&dump, link.as_bytes()) && !server.log().contains(&link));
    let hash = db.sql("SELECT hex(token_hash) FROM links");
    for token in [hash.as_str(), &hash.to_lowercase(), &hash[..43]] {
        assert_eq!(server.client().get(&format!("/setup?token={token}")).status, 403);
    }
    assert_eq!(server.client().get(&format!("/setup?token={link}")).status, 200);
    assert!(!server.log().contains(&link), "opening the link must not log it");
}

#[test]
fn log_and_audit_contain_only_session_ids() {
    let (db, server) = super::serve_process(&[("SESSILE_LOG", "trace"), ("SESSILE_LOG_FORMAT", "json")]);
    let mut client = server.client();
    log_in_by_form(&mut client, KIM, "/dashboard");
    let id = session_id(&mut client);
    let (_, _, secret) = parts_of(&client.cookies["aiq_session"]);
    client.send("DELETE", "/api/session", &[], b"");
    let log = server.log();
    let trail = format!("{:?}", super::trail(&db));
    assert!(trail.contains(&id));
    for secret in [secret.as_str(), PASSWORD, &client.cookies["aiq_device"]] {
        assert!(!log.contains(secret) && !trail.contains(secret), "{secret}");
    }
}

fn signed(key: &Key, value: &str) -> String {
    let mut jar = CookieJar::new();
    jar.signed_mut(key).add(Cookie::new("aiq_session", value.to_owned()));
    jar.get("aiq_session").expect("a cookie").value().to_owned()
}

/// The database's files on disk, including the write-ahead log.
fn database_files(db: &TestDb) -> Vec<u8> {
    let mut all = Vec::new();
    for file in ["test.sqlite3", "test.sqlite3-wal", "test.sqlite3-shm"] {
        all.extend(std::fs::read(db.folder.join(file)).unwrap_or_default());
    }
    assert!(all.len() > 10_000 && holds(&all, b"secret_hash"), "the database's files");
    all
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
