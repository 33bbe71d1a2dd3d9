//! A copy of the database has neither the app's secret nor a recovery code, and a deleted account leaves none of them.

use serde_json::json;
use sessile::base::{base32, recovery_code::RecoveryCode};

use super::{count, let_time_pass, log_in_with, serve, set_up, signed_in};
use crate::support::{PASSWORD, TestDb, add_user, on_both_engines_and_citus};

on_both_engines_and_citus! {
    a_dump_of_the_database_has_no_secret_and_no_code,
    an_export_names_the_factors_and_no_secret,
    nothing_of_the_factors_is_left_of_a_deleted_account,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn a_dump_of_the_database_has_no_secret_and_no_code(db: TestDb) {
    let server = serve(&db);
    let (phone, codes) = set_up(&mut signed_in(&server));
    let_time_pass(&db);
    assert_eq!(log_in_with(&mut server.client(), PASSWORD, &phone.code()).status, 200);
    assert_eq!(log_in_with(&mut server.client(), PASSWORD, &codes[0]).status, 200);
    let dump = db.dump().to_lowercase();
    let mut secrets = vec![hex(&phone.0), base32::encode(&phone.0)];
    for code in &codes {
        let parsed = RecoveryCode::parse(code).unwrap();
        let bare = code.replace('-', "");
        secrets.extend([code.clone(), hex(bare.as_bytes()), hex(&base32::decode(&bare).unwrap()), bare]);
        // Whoever could compare hashes could at least tell a code that they have guessed.
        secrets.push(hex(&parsed.hash()));
    }
    for secret in secrets {
        assert!(!dump.contains(&secret.to_lowercase()), "{secret} is in the database");
    }
}

async fn an_export_names_the_factors_and_no_secret(db: TestDb) {
    let server = serve(&db);
    let mut kim = signed_in(&server);
    let none = kim.get("/api/account/export").json()["secondFactor"].clone();
    assert_eq!(none, json!({"app": null, "recoveryCodes": []}));
    let (phone, codes) = set_up(&mut kim);
    assert_eq!(log_in_with(&mut server.client(), PASSWORD, &codes[0]).status, 200);
    let answer = kim.get("/api/account/export");
    let kept = answer.json()["secondFactor"].clone();
    assert!(kept["app"]["addedAt"].is_string(), "{kept}");
    let used = kept["recoveryCodes"].as_array().unwrap().iter().filter(|code| code["usedAt"].is_string());
    assert_eq!((kept["recoveryCodes"].as_array().unwrap().len(), used.count()), (10, 1));
    assert!(!answer.body.contains(&base32::encode(&phone.0)) && codes.iter().all(|code| !answer.body.contains(code)));
}

async fn nothing_of_the_factors_is_left_of_a_deleted_account(db: TestDb) {
    let server = serve(&db);
    let id = add_user(&db, "alex@example.com", "member");
    let mut kim = signed_in(&server);
    db.sql("DELETE FROM throttle_counts");
    let mut alex = server.client();
    alex.log_in("alex@example.com");
    let (phone, _) = set_up(&mut alex);
    let_time_pass(&db);
    let log_in = |code: &str| {
        let body = json!({"email": "alex@example.com", "password": PASSWORD, "code": code});
        server.client().json("POST", "/api/establish-session", &body)
    };
    assert_eq!(log_in(&phone.wrong_code()).status, 401);
    assert_eq!(log_in(&phone.code_after(4)).status, 401, "this leaves a used proof");
    let counts = count(&db, "throttle_counts");
    assert!(counts > 0 && count(&db, "spent_proofs") == 1);
    assert_eq!(kim.json("DELETE", &format!("/api/people/{id}"), &json!({})).status, 204);
    for table in ["totp_apps", "recovery_codes", "spent_proofs"] {
        assert_eq!(count(&db, table), 0, "{table}");
    }
    assert_eq!(db.sql(&format!("SELECT second_factors FROM accounts WHERE id = '{id}'")), "0");
    // What is left are the counts of the address, which many people may share.
    let of_addresses = format!("throttle_counts WHERE of_address = {}", db.engine.yes());
    assert_eq!(count(&db, "throttle_counts"), count(&db, &of_addresses));
}
