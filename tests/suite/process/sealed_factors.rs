//! The secrets of second factors follow the key file: they are encrypted anew at a start, and a start without a key that they
//! need is refused.

use std::time::Duration;

use sessile::base::keys::Keys;

use super::{KIM, ask, count};
use crate::{
    factor_rule::{give_app, log_in_with, new_code},
    support::{Server, TestDb, add_user, eventually, on_both_engines},
};

on_both_engines! {
    a_start_encrypts_with_the_first_key,
    a_start_without_a_needed_key_is_refused,
    nodes_with_another_first_key_go_on,
    used_proofs_are_swept,
}

/// A new key line, made by the program itself.
fn another_key(db: &TestDb) -> String {
    let file = db.folder.join("another");
    Keys::read_or_make(&file).unwrap();
    let line = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    line
}

/// The ids of the keys that encrypt something.
fn key_ids(db: &TestDb) -> Vec<String> {
    let ids = db.sql("SELECT key_id FROM totp_apps UNION SELECT key_id FROM recovery_codes");
    ids.lines().map(str::to_owned).collect()
}

fn log_in(server: &Server, db: &TestDb) {
    let answer = log_in_with(&mut server.client(), KIM, &new_code(db));
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn a_start_encrypts_with_the_first_key(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let codes = give_app(&db, &kim).await;
    let before = key_ids(&db);
    let old = std::fs::read_to_string(db.key_file()).unwrap();
    let new = another_key(&db);
    std::fs::write(db.key_file(), format!("{new}{old}")).unwrap();
    let said = ask(&db, &["doctor"], "").stdout;
    assert!(said.contains("ok  second factors: encrypted: 11 with key"), "{said}");
    assert!(said.contains("(line 2 of the key file); the next start"), "{said}");
    let server = Server::start(&db, &[]);
    let after = key_ids(&db);
    assert_eq!(after.len(), 1);
    assert_ne!(before, after);
    log_in(&server, &db);
    assert_eq!(server.terminate(), Some(0));

    // Now the old line is not needed.
    std::fs::write(db.key_file(), &new).unwrap();
    let server = Server::start(&db, &[]);
    log_in(&server, &db);
    assert_eq!(log_in_with(&mut server.client(), KIM, &codes[0]).status, 200);
    assert_eq!(key_ids(&db), after);
    let said = ask(&db, &["doctor"], "").stdout;
    assert!(said.contains("11 with key") && said.contains("(line 1 of the key file)\n"), "{said}");
}

async fn a_start_without_a_needed_key_is_refused(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    give_app(&db, &kim).await;
    let id = key_ids(&db).remove(0);
    let right = std::fs::read_to_string(db.key_file()).unwrap();
    std::fs::write(db.key_file(), another_key(&db)).unwrap();
    ask(&db, &["serve"], "").refused(&["SESSILE_KEY_FILE", "11 with the key", &id, "reset-second-factor"]);
    let said = ask(&db, &["doctor"], "").stdout;
    assert!(said.contains("FAIL second factors:") && said.contains(&id), "{said}");
    std::fs::remove_file(db.key_file()).unwrap();
    ask(&db, &["serve"], "").refused(&["SESSILE_KEY_FILE"]);
    assert!(!std::path::Path::new(&db.key_file()).exists(), "an unusable key file was left behind");

    // Either the line comes back,
    std::fs::write(db.key_file(), &right).unwrap();
    let server = Server::start(&db, &[]);
    log_in(&server, &db);
    assert_eq!(server.terminate(), Some(0));
    // or, if it is lost, everybody's second factor is reset.
    std::fs::write(db.key_file(), another_key(&db)).unwrap();
    assert_eq!(ask(&db, &["user", "reset-second-factor", KIM], "").said(), "second factor removed, ended 1\n");
    let server = Server::start(&db, &[]);
    server.client().log_in(KIM);
}

async fn nodes_with_another_first_key_go_on(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let codes = give_app(&db, &kim).await;
    let old = std::fs::read_to_string(db.key_file()).unwrap();
    let new = another_key(&db);
    // Each line is on every node before it comes first anywhere.
    std::fs::write(db.key_file(), format!("{old}{new}")).unwrap();
    let first = Server::start(&db, &[]);
    let ids = key_ids(&db);
    std::fs::write(db.key_file(), format!("{new}{old}")).unwrap();
    let second = Server::start(&db, &[]);
    assert_ne!(key_ids(&db), ids);
    for server in [&first, &second] {
        log_in(server, &db);
    }
    assert_eq!(log_in_with(&mut first.client(), KIM, &codes[0]).status, 200);
    assert_eq!(log_in_with(&mut second.client(), KIM, &codes[1]).status, 200);
    assert_eq!(log_in_with(&mut second.client(), KIM, &codes[0]).status, 401);
}

async fn used_proofs_are_swept(db: TestDb) {
    let kim = add_user(&db, KIM, "owner");
    let bytes = |byte: &str| match db.engine {
        crate::support::Engine::Sqlite => format!("x'{byte}'"),
        crate::support::Engine::Postgres => format!("'\\x{byte}'::bytea"),
    };
    let add = |byte: &str, age: &str| {
        let byte = bytes(byte);
        db.sql(&format!(
            "INSERT INTO spent_proofs (account_id, hash, spent_at) VALUES ('{kim}', {byte}, INSTANT({age}))"
        ))
    };
    add("01", "-7200");
    add("02", "-60");
    ask(&db, &["prune"], "").said();
    assert_eq!(count(&db, "spent_proofs"), 1);
    add("03", "-7200");
    let _server = Server::start(&db, &[]);
    eventually("the sweep of a server", async || {
        actix_web::rt::time::sleep(Duration::from_millis(10)).await;
        count(&db, "spent_proofs") == 1
    })
    .await;
}
