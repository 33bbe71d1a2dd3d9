//! Cookies and session keys. The input is a `Cookie` header, a session key, or a value to sign.

#![no_main]

use std::sync::LazyLock;

use actix_web::{
    cookie::Cookie,
    http::header::{COOKIE, HeaderMap, HeaderValue},
};
use libfuzzer_sys::fuzz_target;
use sessile::{
    base::{keys::Keys, secret, settings::PublicUrl},
    records::session::{SessionKey, request::Presented},
    web::cookies::{self, CookieNames},
};

const NAME: &str = "__Host-aiq_session";
static NAMES: LazyLock<CookieNames> = LazyLock::new(|| CookieNames::new(&PublicUrl::localhost(443, true)));
static OWN_KEYS: LazyLock<Keys> = LazyLock::new(new_keys);
static FOREIGN_KEYS: LazyLock<Keys> = LazyLock::new(new_keys);

fuzz_target!(|input: &[u8]| {
    check_header(input);
    if let Ok(text) = std::str::from_utf8(input) {
        check_session_key(text);
        check_signature(text);
    }
});

/// A header without a key that we signed never yields a session, and only well-formed cookies of ours reach the session
/// layer.
fn check_header(input: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(COOKIE, value);
        }
    }
    let session = NAMES.sent_session(&headers, &OWN_KEYS);
    assert!(!matches!(session.presented, Presented::Key(_)), "forged: {headers:?}");
    let devices = NAMES.device_secrets(&headers);
    NAMES.keep_accepted(&mut headers, &session, &devices, &OWN_KEYS);
    for (name, value) in cookies::sent(&headers) {
        assert!([&NAMES.device, &NAMES.visitor].iter().any(|known| *known == name) && value.is_some(), "{headers:?}");
    }
}

/// A text is either parsed as a complete key or rejected.
fn check_session_key(text: &str) {
    let Some(key) = SessionKey::parse(text) else { return };
    assert_eq!(key.expose(), text);
    assert_eq!(text.split('.').next(), Some(key.id()));
    assert_eq!(text.rsplit('.').next(), Some(key.secret().expose()));
    assert_eq!(text.split('.').count(), if key.account_id().is_some() { 3 } else { 2 });
    assert!(text.len() <= 4 + 19 + 1 + 22 + 1 + 1024 + 1 + 43 && text.is_ascii(), "{text}");
    assert!(key.cookie_value().is_ok() && !format!("{key:?}").contains(key.secret().expose()));
}

/// A value that we signed verifies with our keys only, and only under its own name.
fn check_signature(value: &str) {
    let signed = OWN_KEYS.sign_cookie(NAME, value.to_owned()).encoded().to_string();
    let mut headers = HeaderMap::new();
    headers.append(COOKIE, HeaderValue::from_str(&signed).expect("a header"));
    let found: Vec<_> = cookies::sent(&headers).collect();
    let [(NAME, Some(sent))] = found.as_slice() else { panic!("{found:?} in {signed}") };
    let cookie = Cookie::parse_encoded(format!("{NAME}={sent}")).expect("a cookie");
    assert_eq!(OWN_KEYS.verify_cookie(&cookie).as_deref(), Some(value));
    assert_eq!(FOREIGN_KEYS.verify_cookie(&cookie), None);
    let mut tampered = cookie.clone();
    tampered.set_value(format!("{}x", cookie.value()));
    assert_eq!(OWN_KEYS.verify_cookie(&tampered), None);
}

fn new_keys() -> Keys {
    let file = std::env::temp_dir().join(secret::random_name("sessile_fuzz_").expect("a name"));
    let keys = Keys::read_or_make(&file).expect("keys");
    std::fs::remove_file(&file).expect("a file");
    keys
}
