use serde_json::{Value, json};

use super::test_authenticator::{Authenticator, Twist, decode, encode};
use super::*;
use crate::base::error::{Error, Result};
use crate::base::instant::Instant;
use crate::base::settings::PublicUrl;

const ORIGIN: &str = "https://id.example.com:8443";
const NOW: Instant = Instant::from_micros(1_795_000_000_000_000);

fn at(origin: &str) -> Result<Ceremonies, NoPasskeys> {
    Ceremonies::new(&PublicUrl::parse(origin).unwrap(), "Example")
}

fn kim() -> UserHandle {
    UserHandle::of("acc_AAECAwQFBgcICQoLDA0ODw")
}

fn ask(ceremonies: &Ceremonies, existing: &[Vec<u8>]) -> Started {
    let person = Person { email: "kim@example.com", name: "Kim" };
    ceremonies.start_registration(kim(), person, existing, NOW).unwrap()
}

/// Adds a passkey.
fn add(authenticator: &mut Authenticator, twist: &Twist) -> Result<NewPasskey> {
    let ceremonies = at(ORIGIN).unwrap();
    let started = ask(&ceremonies, &[]);
    let answer = authenticator.create(&started.options, twist);
    ceremonies.finish_registration(kim(), &started.state, &answer, NOW)
}

/// Signs in with the latest passkey of an authenticator.
fn sign_in(authenticator: &mut Authenticator, data: &str, twist: &Twist) -> Outcome {
    let ceremonies = at(ORIGIN).unwrap();
    let started = ceremonies.start_sign_in(NOW).unwrap();
    let answer = authenticator.get(&started.options, twist);
    let stored = StoredPasskey { owner: kim(), data };
    ceremonies.finish_sign_in(&started.state, &answer, stored, NOW).unwrap()
}

fn right(outcome: Outcome) -> Used {
    match outcome {
        Outcome::Right(used) => used,
        other => panic!("{other:?}"),
    }
}

fn wrong(outcome: Outcome) -> Refused {
    match outcome {
        Outcome::Wrong(refused) => refused,
        other => panic!("{other:?}"),
    }
}

fn reason<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(Error::Invalid(words)) => words,
        other => panic!("{other:?}"),
    }
}

fn field<'a>(data: &str, name: &str, kept: &'a mut Value) -> &'a Value {
    *kept = serde_json::from_str(data).unwrap();
    &kept["cred"][name]
}

#[test]
fn a_new_passkey_signs_in_and_confirms() {
    let (ceremonies, mut key) = (at(ORIGIN).unwrap(), Authenticator::new(ORIGIN));
    let made = add(&mut key, &Twist::default()).unwrap();
    let started = ceremonies.start_sign_in(NOW).unwrap();
    let answer = key.get(&started.options, &Twist::default());
    assert_eq!(credential_id_of(&answer).unwrap(), made.credential_id);
    let stored = StoredPasskey { owner: kim(), data: &made.data };
    let used = right(ceremonies.finish_sign_in(&started.state, &answer, stored, NOW).unwrap());
    assert!(used.is_user_verified && !used.is_backup_eligible && !used.is_backed_up);
    let started = ceremonies.start_confirm(kim(), &[&used.data], NOW).unwrap();
    // The account is known, so the handle may be left out.
    let answer = key.get(&started.options, &Twist { user_handle: Some(None), ..Twist::default() });
    let stored = StoredPasskey { owner: kim(), data: &used.data };
    right(ceremonies.finish_confirm(kim(), &started.state, &answer, stored, NOW).unwrap());
}

#[test]
fn the_question_for_a_new_passkey_asks_for_a_discoverable_and_verified_one() {
    let options = ask(&at(ORIGIN).unwrap(), &[vec![7; 32]]).options;
    assert_eq!(
        options["authenticatorSelection"],
        json!({"residentKey": "required", "requireResidentKey": true, "userVerification": "required"})
    );
    assert_eq!(options["attestation"], "none");
    assert_eq!(options["rp"], json!({"id": "id.example.com", "name": "Example"}));
    let user = json!({"id": kim().text(), "name": "kim@example.com", "displayName": "Kim"});
    assert_eq!(options["user"], user);
    assert_eq!(options["excludeCredentials"], json!([{"type": "public-key", "id": encode(&[7; 32])}]));
    let algorithms: Vec<_> = options["pubKeyCredParams"].as_array().unwrap().iter().map(|one| &one["alg"]).collect();
    assert_eq!(algorithms, [-7, -35, -257]);
    assert!(decode(options["challenge"].as_str().unwrap()).len() >= 16);
}

#[test]
fn a_person_without_a_name_is_shown_by_address() {
    let person = Person { email: "kim@example.com", name: " " };
    let started = at(ORIGIN).unwrap().start_registration(kim(), person, &[], NOW).unwrap();
    assert_eq!(started.options["user"]["displayName"], "kim@example.com");
}

#[test]
fn the_question_of_a_sign_in_names_no_passkey_and_that_of_a_confirmation_only_the_accounts() {
    let ceremonies = at(ORIGIN).unwrap();
    let options = ceremonies.start_sign_in(NOW).unwrap().options;
    assert_eq!((&options["allowCredentials"], &options["userVerification"]), (&json!([]), &json!("required")));
    assert_eq!(options["rpId"], "id.example.com");
    let made = add(&mut Authenticator::new(ORIGIN), &Twist::default()).unwrap();
    let options = ceremonies.start_confirm(kim(), &[&made.data], NOW).unwrap().options;
    let expected =
        json!([{"type": "public-key", "id": encode(&made.credential_id), "transports": ["usb", "nfc"]}]);
    assert_eq!((&options["allowCredentials"], &options["userVerification"]), (&expected, &json!("required")));
    assert_eq!(reason(ceremonies.start_confirm(kim(), &[], NOW)), "this account has no passkey");
}

#[test]
fn no_two_questions_are_the_same() {
    let ceremonies = at(ORIGIN).unwrap();
    let (one, other) = (ceremonies.start_sign_in(NOW).unwrap(), ceremonies.start_sign_in(NOW).unwrap());
    assert_ne!(one.options["challenge"], other.options["challenge"]);
    assert_ne!(one.state, other.state);
}

#[test]
fn an_answer_from_another_origin_is_refused() {
    let origins =
        ["https://evil.example", "https://id.example.com", "http://id.example.com:8443", "https://a.id.example.com:8443"];
    let mut key = Authenticator::new(ORIGIN);
    let made = add(&mut key, &Twist::default()).unwrap();
    for origin in origins {
        let twist = Twist { origin: Some(origin), ..Twist::default() };
        assert_eq!(reason(add(&mut Authenticator::new(ORIGIN), &twist)), Refused::Origin.to_string(), "{origin}");
        assert_eq!(wrong(sign_in(&mut key, &made.data, &twist)), Refused::Origin, "{origin}");
    }
    let twist = Twist { is_cross_origin: true, ..Twist::default() };
    assert_eq!(reason(add(&mut Authenticator::new(ORIGIN), &twist)), Refused::Origin.to_string());
}

#[test]
fn an_answer_for_another_relying_party_is_refused() {
    let mut key = Authenticator::new(ORIGIN);
    let made = add(&mut key, &Twist::default()).unwrap();
    let twist = Twist { rp_id: Some("example.com"), ..Twist::default() };
    assert_eq!(wrong(sign_in(&mut key, &made.data, &twist)), Refused::RelyingParty);
    assert_eq!(reason(add(&mut key, &twist)), Refused::RelyingParty.to_string());
}

#[test]
fn an_answer_without_user_verification_is_refused() {
    let mut key = Authenticator::new(ORIGIN);
    let made = add(&mut key, &Twist::default()).unwrap();
    let twist = Twist { is_unverified: true, ..Twist::default() };
    assert_eq!(wrong(sign_in(&mut key, &made.data, &twist)), Refused::NotVerified);
    assert_eq!(reason(add(&mut key, &twist)), Refused::NotVerified.to_string());
}

#[test]
fn an_answer_to_another_question_is_refused() {
    let (ceremonies, mut key) = (at(ORIGIN).unwrap(), Authenticator::new(ORIGIN));
    let made = add(&mut key, &Twist::default()).unwrap();
    let earlier = ceremonies.start_sign_in(NOW).unwrap().options["challenge"].as_str().unwrap().to_owned();
    let twist = Twist { challenge: Some(earlier), ..Twist::default() };
    assert_eq!(wrong(sign_in(&mut key, &made.data, &twist)), Refused::Challenge);
    assert_eq!(reason(add(&mut key, &twist)), Refused::Challenge.to_string());
    let twist = Twist { kind: Some("webauthn.create"), ..Twist::default() };
    assert_eq!(wrong(sign_in(&mut key, &made.data, &twist)), Refused::Challenge);
    let twist = Twist { kind: Some("webauthn.get"), ..Twist::default() };
    assert_eq!(reason(add(&mut key, &twist)), Refused::Challenge.to_string());
}

#[test]
fn a_state_is_good_for_its_ceremony_account_and_time_only() {
    let (ceremonies, mut key) = (at(ORIGIN).unwrap(), Authenticator::new(ORIGIN));
    let made = add(&mut key, &Twist::default()).unwrap();
    let stored = StoredPasskey { owner: kim(), data: &made.data };
    let started = ceremonies.start_sign_in(NOW).unwrap();
    let answer = key.get(&started.options, &Twist::default());
    let late = NOW.plus(LIFETIME).plus(std::time::Duration::from_secs(1));
    let stale = reason(ceremonies.finish_sign_in(&started.state, &answer, stored, late));
    assert!(stale.contains("took too long"), "{stale}");
    assert_eq!(reason(ceremonies.finish_confirm(kim(), &started.state, &answer, stored, NOW)), stale);
    assert_eq!(reason(ceremonies.finish_sign_in(b"{}", &answer, stored, NOW)), stale);
    let started = ask(&ceremonies, &[]);
    let answer = key.create(&started.options, &Twist::default());
    let lee = UserHandle::of("acc_lee");
    assert_eq!(reason(ceremonies.finish_registration(lee, &started.state, &answer, NOW)), stale);
    assert_eq!(reason(ceremonies.finish_registration(kim(), &started.state, &answer, late)), stale);
    ceremonies.finish_registration(kim(), &started.state, &answer, NOW.plus(LIFETIME)).unwrap();
}

#[test]
fn a_forged_or_missing_user_handle_signs_in_nobody() {
    let mut key = Authenticator::new(ORIGIN);
    let made = add(&mut key, &Twist::default()).unwrap();
    let lee = decode(&UserHandle::of("acc_lee").text());
    for handle in [Some(lee), Some(b"lee".to_vec()), Some(Vec::new()), None] {
        let twist = Twist { user_handle: Some(handle), ..Twist::default() };
        assert_eq!(wrong(sign_in(&mut key, &made.data, &twist)), Refused::Account);
    }
}

#[test]
fn a_passkey_of_another_account_confirms_nothing() {
    let (ceremonies, mut key) = (at(ORIGIN).unwrap(), Authenticator::new(ORIGIN));
    let made = add(&mut key, &Twist::default()).unwrap();
    let lee = UserHandle::of("acc_lee");
    let started = ceremonies.start_confirm(lee, &[&made.data], NOW).unwrap();
    let answer = key.get(&started.options, &Twist::default());
    let stored = StoredPasskey { owner: kim(), data: &made.data };
    let outcome = ceremonies.finish_confirm(lee, &started.state, &answer, stored, NOW).unwrap();
    assert_eq!(wrong(outcome), Refused::Account);
}

#[test]
fn an_answer_of_another_passkey_or_key_is_refused() {
    let mut key = Authenticator::new(ORIGIN);
    let first = add(&mut key, &Twist::default()).unwrap();
    let second = add(&mut key, &Twist::default()).unwrap();
    assert_eq!(wrong(sign_in(&mut key, &first.data, &Twist::default())), Refused::Credential);
    // The id of one passkey with the signature of another.
    let twist = Twist { credential_id: Some(first.credential_id), ..Twist::default() };
    assert_eq!(wrong(sign_in(&mut key, &first.data, &twist)), Refused::Signature);
    let twist = Twist { is_forged: true, ..Twist::default() };
    assert_eq!(wrong(sign_in(&mut key, &second.data, &twist)), Refused::Signature);
}

#[test]
fn a_new_passkey_with_an_id_that_was_not_checked_is_refused() {
    let twist = Twist { credential_id: Some(vec![1; 32]), ..Twist::default() };
    assert_eq!(reason(add(&mut Authenticator::new(ORIGIN), &twist)), Refused::Malformed.to_string());
}

#[test]
fn a_passkey_that_the_account_has_is_not_added_again() {
    let (ceremonies, mut key) = (at(ORIGIN).unwrap(), Authenticator::new(ORIGIN));
    // The browser ignores the list, so the answer is refused.
    let started = ask(&ceremonies, &[]);
    let answer = key.create(&started.options, &Twist::default());
    let id = credential_id_in(&answer);
    let mut state: Value = serde_json::from_slice(&started.state).unwrap();
    state["state"]["rs"]["exclude_credentials"] = json!([encode(&id)]);
    let finished = ceremonies.finish_registration(kim(), state.to_string().as_bytes(), &answer, NOW);
    assert_eq!(reason(finished), Refused::NotAccepted.to_string());
}

fn credential_id_in(answer: &Value) -> Vec<u8> {
    decode(answer["rawId"].as_str().unwrap())
}

#[test]
fn a_counter_that_does_not_go_up_is_told_and_nothing_is_stored() {
    let mut key = Authenticator::new(ORIGIN);
    let made = add(&mut key, &Twist { counter: Some(10), ..Twist::default() }).unwrap();
    for counter in [10, 9, 0] {
        let twist = Twist { counter: Some(counter), ..Twist::default() };
        match sign_in(&mut key, &made.data, &twist) {
            Outcome::CounterWentBack { stored, answered } => assert_eq!((stored, answered), (10, counter)),
            other => panic!("{other:?}"),
        }
        // Only a right signature is a reason to suspect a copy.
        let twist = Twist { counter: Some(counter), is_forged: true, ..Twist::default() };
        assert_eq!(wrong(sign_in(&mut key, &made.data, &twist)), Refused::Signature);
    }
    key.set_counter(10);
    let used = right(sign_in(&mut key, &made.data, &Twist::default()));
    assert_eq!(field(&used.data, "counter", &mut Value::Null), 11);
    key.set_counter(10);
    let again = sign_in(&mut key, &used.data, &Twist::default());
    assert!(matches!(again, Outcome::CounterWentBack { stored: 11, answered: 11 }), "{again:?}");
}

#[test]
fn a_passkey_that_never_counts_signs_in_each_time() {
    let mut manager = Authenticator::synced(ORIGIN);
    let made = add(&mut manager, &Twist::default()).unwrap();
    let used = right(sign_in(&mut manager, &made.data, &Twist::default()));
    let used = right(sign_in(&mut manager, &used.data, &Twist::default()));
    assert_eq!(field(&used.data, "counter", &mut Value::Null), 0);
    assert!(used.is_backup_eligible && used.is_backed_up);
}

#[test]
fn a_passkey_may_become_backed_up_and_cease_to_be() {
    let mut key = Authenticator::new(ORIGIN);
    let made = add(&mut key, &Twist::default()).unwrap();
    assert!(!made.is_backup_eligible && !made.is_backed_up);
    (key.is_backup_eligible, key.is_backed_up) = (true, true);
    let forged = sign_in(&mut key, &made.data, &Twist { is_forged: true, ..Twist::default() });
    assert_eq!(wrong(forged), Refused::Signature);
    let used = right(sign_in(&mut key, &made.data, &Twist::default()));
    assert!(used.is_backup_eligible && used.is_backed_up);
    assert_eq!(field(&used.data, "backup_eligible", &mut Value::Null), true);
    key.is_backed_up = false;
    let used = right(sign_in(&mut key, &used.data, &Twist::default()));
    assert!(used.is_backup_eligible && !used.is_backed_up);
    assert_eq!(field(&used.data, "backup_state", &mut Value::Null), false);
}

#[test]
fn a_passkey_cannot_lose_backup_or_be_backed_up_without_it() {
    let mut manager = Authenticator::synced(ORIGIN);
    let made = add(&mut manager, &Twist::default()).unwrap();
    for is_backed_up in [false, true] {
        (manager.is_backup_eligible, manager.is_backed_up) = (false, is_backed_up);
        assert_eq!(wrong(sign_in(&mut manager, &made.data, &Twist::default())), Refused::Backup);
    }
    let mut odd = Authenticator::new(ORIGIN);
    odd.is_backed_up = true;
    assert_eq!(reason(add(&mut odd, &Twist::default())), Refused::Backup.to_string());
    let mut key = Authenticator::new(ORIGIN);
    let made = add(&mut key, &Twist::default()).unwrap();
    key.is_backed_up = true;
    assert_eq!(wrong(sign_in(&mut key, &made.data, &Twist::default())), Refused::Backup);
}

#[test]
fn known_transports_are_kept_and_survive_a_use() {
    let mut key = Authenticator::new(ORIGIN);
    key.transports = vec!["usb", "smart-card", "usb", "internal", "no such thing"];
    let made = add(&mut key, &Twist::default()).unwrap();
    assert_eq!(made.transports, ["usb", "internal"]);
    let used = right(sign_in(&mut key, &made.data, &Twist::default()));
    assert_eq!(field(&used.data, "transports", &mut Value::Null), &json!(["usb", "internal"]));
}

#[test]
fn well_known_authenticators_have_names() {
    let mut manager = Authenticator::synced(ORIGIN);
    manager.aaguid = 0xbada5566_a7aa_401f_bd96_45619a55120d_u128.to_be_bytes();
    let made = add(&mut manager, &Twist::default()).unwrap();
    assert_eq!((made.authenticator, made.aaguid), (Some("1Password"), Some(manager.aaguid)));
    manager.aaguid = [0xee; 16];
    let made = add(&mut manager, &Twist::default()).unwrap();
    assert_eq!((made.authenticator, made.aaguid), (None, Some([0xee; 16])));
    manager.aaguid = [0; 16];
    let made = add(&mut manager, &Twist::default()).unwrap();
    assert_eq!((made.authenticator, made.aaguid), (None, None));
}

#[test]
fn an_answer_that_cannot_be_read_is_the_clients_error() {
    let (ceremonies, mut key) = (at(ORIGIN).unwrap(), Authenticator::new(ORIGIN));
    let made = add(&mut key, &Twist::default()).unwrap();
    let started = ceremonies.start_sign_in(NOW).unwrap();
    let good = key.get(&started.options, &Twist::default());
    let changed = |path: &str, value: Value| {
        let mut answer = good.clone();
        *answer.pointer_mut(path).unwrap() = value;
        answer
    };
    let unreadable = [
        Value::Null,
        json!([]),
        json!("answer"),
        changed("/id", json!("other")),
        changed("/rawId", json!("not base64url!")),
        changed("/rawId", json!("A".repeat(1500))),
        changed("/type", json!("password")),
        changed("/response", json!({})),
        changed("/response/signature", json!(7)),
        changed("/response/signature", json!("A".repeat(2000))),
        changed("/response/clientDataJSON", json!("A".repeat(10_000))),
        changed("/response/authenticatorData", json!("A".repeat(10_000))),
        changed("/response/userHandle", json!("A".repeat(200))),
    ];
    for answer in unreadable {
        assert_eq!(reason(credential_id_of(&answer)), Refused::Malformed.to_string(), "{answer:.80}");
        let stored = StoredPasskey { owner: kim(), data: &made.data };
        reason(ceremonies.finish_sign_in(&started.state, &answer, stored, NOW));
    }
    let empty = Value::from("");
    for (path, value) in [
        ("/response/signature", empty.clone()),
        ("/response/signature", json!("AAAA")),
        ("/response/authenticatorData", empty.clone()),
        ("/response/clientDataJSON", empty),
        ("/response/clientDataJSON", json!(encode(b"{\"type\":\"webauthn.get\"}"))),
    ] {
        let stored = StoredPasskey { owner: kim(), data: &made.data };
        let outcome = ceremonies.finish_sign_in(&started.state, &changed(path, value), stored, NOW).unwrap();
        assert!(matches!(wrong(outcome), Refused::Malformed | Refused::Signature), "{path}");
    }
}

#[test]
fn a_new_passkey_that_cannot_be_read_is_the_clients_error() {
    let (ceremonies, mut key) = (at(ORIGIN).unwrap(), Authenticator::new(ORIGIN));
    let started = ask(&ceremonies, &[]);
    let good = key.create(&started.options, &Twist::default());
    let object = decode(good["response"]["attestationObject"].as_str().unwrap());
    // Every shorter object, and objects with one changed byte: none may panic.
    for length in (0..object.len()).step_by(3) {
        let mut answer = good.clone();
        answer["response"]["attestationObject"] = json!(encode(&object[..length]));
        reason(ceremonies.finish_registration(kim(), &started.state, &answer, NOW));
    }
    for at in 0..object.len() {
        let mut changed = object.clone();
        changed[at] ^= 0xff;
        let mut answer = good.clone();
        answer["response"]["attestationObject"] = json!(encode(&changed));
        let finished = ceremonies.finish_registration(kim(), &started.state, &answer, NOW);
        assert!(matches!(finished, Ok(_) | Err(Error::Invalid(_))), "byte {at}: {finished:?}");
    }
    let mut deep = b"\xa3\x63fmt\x64none\x67attStmt".to_vec();
    deep.extend([0x81; 10_000]);
    for object in [deep, vec![0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], vec![0; 20_000]] {
        let mut answer = good.clone();
        answer["response"]["attestationObject"] = json!(encode(&object));
        reason(ceremonies.finish_registration(kim(), &started.state, &answer, NOW));
    }
}

#[test]
fn extensions_and_further_keys_of_an_answer_are_ignored() {
    let (ceremonies, mut key) = (at(ORIGIN).unwrap(), Authenticator::new(ORIGIN));
    let started = ask(&ceremonies, &[]);
    let mut answer = key.create(&started.options, &Twist::default());
    answer["clientExtensionResults"] = json!({"credProps": 7, "prf": {"enabled": true}});
    answer["response"]["transports"] = json!("usb");
    answer["further"] = json!({});
    let made = ceremonies.finish_registration(kim(), &started.state, &answer, NOW).unwrap();
    assert_eq!(made.transports, [""; 0]);
}

#[test]
fn only_a_host_name_over_https_or_localhost_has_passkeys() {
    for (origin, host) in [
        ("https://id.example.com", "id.example.com"),
        ("https://id.example.com:8443", "id.example.com"),
        ("https://intranet", "intranet"),
        ("http://localhost:8080", "localhost"),
        ("http://app.localhost:8080", "app.localhost"),
    ] {
        assert_eq!(at(origin).unwrap().rp_id(), host, "{origin}");
    }
    for origin in ["http://127.0.0.1:8080", "https://192.0.2.7", "https://[2001:db8::1]"] {
        assert_eq!(at(origin).unwrap_err(), NoPasskeys::IpAddress, "{origin}");
    }
    assert_eq!(at("http://id.example.com").unwrap_err(), NoPasskeys::PlainHttp);
}

#[test]
fn a_user_handle_is_the_random_part_of_the_account_id() {
    assert_eq!(decode(&kim().text()), (0..16).collect::<Vec<u8>>());
    // Ids of other shapes have a handle too, always the same.
    for account in ["acc_lee", "acc_", "lee", "", "acc_AAECAwQFBgcICQoLDA0OD_"] {
        let handle = UserHandle::of(account);
        assert_eq!(handle, UserHandle::of(account));
        assert_eq!(decode(&handle.text()).len(), 16, "{account}");
    }
    assert_ne!(UserHandle::of("acc_lee"), UserHandle::of("acc_kim"));
}
