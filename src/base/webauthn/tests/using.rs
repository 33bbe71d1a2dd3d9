use super::*;

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
fn only_a_confirmation_names_passkeys_and_only_the_accounts() {
    let ceremonies = at(ORIGIN).unwrap();
    let options = ceremonies.start_sign_in(NOW).unwrap().options;
    assert_eq!((&options["allowCredentials"], &options["userVerification"]), (&json!([]), &json!("required")));
    assert_eq!(options["rpId"], "id.example.com");
    let made = add(&mut Authenticator::new(ORIGIN), &Twist::default()).unwrap();
    let options = ceremonies.start_confirm(kim(), &[&made.data], NOW).unwrap().options;
    let expected = json!([{"type": "public-key", "id": encode(&made.credential_id), "transports": ["usb", "nfc"]}]);
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
    let origins = [
        "https://evil.example",
        "https://id.example.com",
        "http://id.example.com:8443",
        "https://a.id.example.com:8443",
    ];
    let mut key = Authenticator::new(ORIGIN);
    let made = add(&mut key, &Twist::default()).unwrap();
    for origin in origins {
        let twist = Twist { origin: Some(origin), ..Twist::default() };
        assert_eq!(reason(add(&mut Authenticator::new(ORIGIN), &twist)), Refused::Origin.to_string(), "{origin}");
        assert_eq!(wrong(sign_in(&mut key, &made.data, &twist)), Refused::Origin, "{origin}");
    }
    let twist = Twist { is_cross_origin: true, ..Twist::default() };
    assert_eq!(reason(add(&mut Authenticator::new(ORIGIN), &twist)), Refused::Origin.to_string());
    assert_eq!(wrong(sign_in(&mut key, &made.data, &twist)), Refused::Origin);
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
    assert_eq!(reason(add(&mut Authenticator::new(ORIGIN), &twist)), Refused::Challenge.to_string());
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
