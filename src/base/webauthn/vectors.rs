//! The test vectors of the WebAuthn Level 3 specification (section 16). Their challenges and their lack of user
//! verification are put into the states that the ceremonies begin with. In the same way, answers that Chromium gave are
//! checked.

use serde_json::{Value, json};

use super::test_authenticator::{decode, encode};
use super::*;
use crate::base::error::{Error, Result};
use crate::base::instant::Instant;
use crate::base::settings::PublicUrl;

const NOW: Instant = Instant::from_micros(1_795_000_000_000_000);

/// The vector with this anchor.
fn vector(anchor: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let found = all["vectors"].as_array().unwrap().iter().find(|one| one["anchor"] == anchor);
    found.unwrap_or_else(|| panic!("no vector {anchor}")).clone()
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn base64url(value: &Value) -> Value {
    json!(encode(&hex(value)))
}

/// A state with the challenge of a vector. `is_strict` keeps user verification required.
fn state_of(started: &Started, inner: &str, challenge: &Value, is_strict: bool) -> Vec<u8> {
    let mut state: Value = serde_json::from_slice(&started.state).unwrap();
    state["state"][inner]["challenge"] = base64url(challenge);
    if !is_strict {
        state["state"][inner]["policy"] = json!("discouraged");
    }
    state.to_string().into_bytes()
}

fn ceremonies() -> Ceremonies {
    Ceremonies::new(&PublicUrl::parse("https://example.org").unwrap(), "Vectors").unwrap()
}

fn register(vector: &Value, is_strict: bool) -> Result<NewPasskey> {
    let (ceremonies, owner) = (ceremonies(), UserHandle::of("acc_vectors"));
    let person = Person { email: "kim@example.org", name: "Kim" };
    let started = ceremonies.start_registration(owner, person, &[], NOW).unwrap();
    let given = &vector["registration"];
    let id = base64url(&given["credential_id"]);
    let answer = json!({
        "id": id, "rawId": id, "type": "public-key",
        "response": {
            "clientDataJSON": base64url(&given["clientDataJSON"]),
            "attestationObject": base64url(&given["attestationObject"]),
        },
    });
    ceremonies.finish_registration(owner, &state_of(&started, "rs", &given["challenge"], is_strict), &answer, NOW)
}

fn use_it(vector: &Value, made: &NewPasskey, is_strict: bool) -> Outcome {
    let (ceremonies, owner) = (ceremonies(), UserHandle::of("acc_vectors"));
    let started = ceremonies.start_confirm(owner, &[&made.data], NOW).unwrap();
    let given = &vector["authentication"];
    let id = encode(&made.credential_id);
    let answer = json!({
        "id": id, "rawId": id, "type": "public-key",
        "response": {
            "clientDataJSON": base64url(&given["clientDataJSON"]),
            "authenticatorData": base64url(&given["authenticatorData"]),
            "signature": base64url(&given["signature"]),
        },
    });
    let state = state_of(&started, "ast", &given["challenge"], is_strict);
    let stored = StoredPasskey { owner, data: &made.data };
    ceremonies.finish_confirm(owner, &state, &answer, stored, NOW).unwrap()
}

#[test]
fn vectors_of_the_offered_algorithms_are_right() {
    for name in ["none-es256", "none-es256-long-credential-id", "packed-self-es256", "packed-es384"] {
        let vector = vector(&format!("sctn-test-vectors-{name}"));
        let made = register(&vector, false).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(made.credential_id, hex(&vector["registration"]["credential_id"]), "{name}");
        assert_eq!(made.aaguid.unwrap().to_vec(), hex(&vector["registration"]["aaguid"]), "{name}");
        let outcome = use_it(&vector, &made, false);
        assert!(matches!(outcome, Outcome::Right(_)), "{name}: {outcome:?}");
    }
}

#[test]
fn the_answers_of_chromium_are_right() {
    let given: Value = serde_json::from_str(include_str!("chromium.json")).unwrap();
    let ceremonies = Ceremonies::new(&PublicUrl::parse(given["origin"].as_str().unwrap()).unwrap(), "Vectors").unwrap();
    let owner = UserHandle::of(given["account"].as_str().unwrap());
    let with = |started: &Started, inner: &str, challenge: &Value| {
        let mut state: Value = serde_json::from_slice(&started.state).unwrap();
        state["state"][inner]["challenge"] = challenge.clone();
        state.to_string().into_bytes()
    };
    let given_now = &given["registration"];
    let started =
        ceremonies.start_registration(owner, Person { email: "kim@example.com", name: "Kim" }, &[], NOW).unwrap();
    let state = with(&started, "rs", &given_now["challenge"]);
    let made = ceremonies.finish_registration(owner, &state, &given_now["answer"], NOW).unwrap();
    assert_eq!((made.transports.as_slice(), made.is_backup_eligible), (["internal"].as_slice(), true));
    let given_now = &given["authentication"];
    let state = with(&ceremonies.start_sign_in(NOW).unwrap(), "ast", &given_now["challenge"]);
    let stored = StoredPasskey { owner, data: &made.data };
    let outcome = ceremonies.finish_sign_in(&state, &given_now["answer"], stored, NOW).unwrap();
    assert!(matches!(outcome, Outcome::Right(_)), "{outcome:?}");
}

#[test]
fn one_wrong_byte_makes_a_vector_wrong() {
    let mut vector = vector("sctn-test-vectors-none-es256");
    let made = register(&vector, false).unwrap();
    let mut signature = hex(&vector["authentication"]["signature"]);
    *signature.last_mut().unwrap() ^= 1;
    vector["authentication"]["signature"] = json!(signature.iter().map(|b| format!("{b:02x}")).collect::<String>());
    assert!(matches!(use_it(&vector, &made, false), Outcome::Wrong(Refused::Signature)));
}

/// The first vector, as webauthn-rs 0.6.2 has stored it. Rows in databases have this form.
const STORED: &str = r#"{"cred":{"attestation":{"data":"None","metadata":"None"},"attestation_format":"none",
"backup_eligible":true,"backup_state":true,"counter":0,"cred":{"key":{"EC_EC2":{"curve":"SECP256R1",
"x":"r--hb5fKmy0j64bMtkCY0g25CFYGLrJJwzqbZy8m32E","y":"kwpWuHovymYzSwNFir-HlxfBLMaO1zKQry4mZHlrkiA"}},"type_":"ES256"},
"cred_id":"-R85HbTJsv3g6nAYnLo_tj9Xm6YSKzOtlP8-wzAIS-Q","extensions":{"appid":"NotRequested","cred_props":"Ignored",
"cred_protect":"Ignored","hmac_create_secret":"NotRequested"},"registration_policy":"discouraged","transports":null,
"user_verified":false}}"#;

#[test]
fn a_passkey_that_an_earlier_version_stored_works() {
    let vector = vector("sctn-test-vectors-none-es256");
    let mut made = register(&vector, false).unwrap();
    STORED.clone_into(&mut made.data);
    assert!(matches!(use_it(&vector, &made, false), Outcome::Right(_)));
}

#[test]
fn vectors_without_user_verification_are_refused() {
    let vector = vector("sctn-test-vectors-none-es256");
    assert_eq!(reason(register(&vector, true)), Refused::NotVerified.to_string());
    let made = register(&vector, false).unwrap();
    assert!(matches!(use_it(&vector, &made, true), Outcome::Wrong(Refused::NotVerified)));
}

#[test]
fn vectors_of_framed_pages_are_refused() {
    for name in ["crossOrigin", "topOrigin"] {
        let vector = vector(&format!("sctn-test-vectors-none-es256-{name}"));
        assert_eq!(reason(register(&vector, false)), Refused::Origin.to_string(), "{name}");
    }
}

/// RS256 is offered, but webauthn-rs takes keys of 2048 bits only, and the vector's has 3482. Ed25519 is not offered.
#[test]
fn vectors_with_keys_that_are_not_offered_are_refused() {
    for name in ["packed-rs256", "packed-eddsa"] {
        let vector = vector(&format!("sctn-test-vectors-{name}"));
        assert!(matches!(register(&vector, false), Err(Error::Invalid(_))), "{name}");
    }
}

#[test]
fn the_file_of_vectors_is_what_the_specification_says() {
    // The hash of the relying party id example.org begins each authenticator data.
    let vector = vector("sctn-test-vectors-none-es256");
    let data = hex(&vector["authentication"]["authenticatorData"]);
    assert_eq!(data[..32], ceremonies().rp_id_hash());
    let client: Value = serde_json::from_slice(&hex(&vector["authentication"]["clientDataJSON"])).unwrap();
    assert_eq!(decode(client["challenge"].as_str().unwrap()), hex(&vector["authentication"]["challenge"]));
}

fn reason(result: Result<NewPasskey>) -> String {
    match result {
        Err(Error::Invalid(words)) => words,
        other => panic!("{other:?}"),
    }
}
