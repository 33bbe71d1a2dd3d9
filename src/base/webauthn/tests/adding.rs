use super::*;

#[test]
fn a_new_passkey_is_asked_to_be_discoverable_and_verified() {
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
