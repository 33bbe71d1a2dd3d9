//! Cookies and session keys: a `Cookie` header, or a value to sign.

#![no_main]

use std::sync::LazyLock;

use actix_web::{
    cookie::Cookie,
    http::header::{COOKIE, HeaderMap, HeaderValue},
};
use libfuzzer_sys::fuzz_target;
use sessile::{
    key_file::Keys,
    secret,
    security::cookies::{self, CookieNames},
    session::{SessionKey, request::Presented},
    settings::PublicUrl,
};

const NAME: &str = "__Host-aiq_session";
static NAMES: LazyLock<CookieNames> = LazyLock::new(|| CookieNames::new(&PublicUrl::localhost(443, true)));
static OURS: LazyLock<Keys> = LazyLock::new(new_keys);
static THEIRS: LazyLock<Keys> = LazyLock::new(new_keys);

fuzz_target!(|sent: &[u8]| {
    header(sent);
    if let Ok(text) = std::str::from_utf8(sent) {
        session_key(text);
        signature(text);
    }
});

/// No header lets anybody in who has no key of ours, and nothing but well-formed cookies of ours goes on to the session layer.
fn header(sent: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in sent.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(COOKIE, value);
        }
    }
    let session = NAMES.sent_session(&headers, &OURS);
    assert!(!matches!(session.presented, Presented::Key(_)), "forged: {headers:?}");
    NAMES.keep_accepted(&mut headers, &session.presented, &OURS);
    for (name, value) in cookies::sent(&headers) {
        assert!([&NAMES.device, &NAMES.visitor].iter().any(|own| *own == name) && value.is_some(), "{headers:?}");
    }
}

/// A key is read as a whole or not at all.
fn session_key(text: &str) {
    let Some(key) = SessionKey::parse(text) else { return };
    assert_eq!(key.expose(), text);
    assert_eq!(text.split('.').next(), Some(key.id()));
    assert_eq!(text.rsplit('.').next(), Some(key.secret().expose()));
    assert_eq!(text.split('.').count(), if key.account_id().is_some() { 3 } else { 2 });
    assert!(text.len() <= 4 + 19 + 1 + 22 + 1 + 1024 + 1 + 43 && text.is_ascii(), "{text}");
    assert!(key.cookie_value().is_ok() && !format!("{key:?}").contains(key.secret().expose()));
}

/// What we signed is read again by us and by nobody else, and only under its name.
fn signature(value: &str) {
    let signed = OURS.sign_cookie(NAME, value.to_owned()).encoded().to_string();
    let mut headers = HeaderMap::new();
    headers.append(COOKIE, HeaderValue::from_str(&signed).expect("a header"));
    let found: Vec<_> = cookies::sent(&headers).collect();
    let [(NAME, Some(sent))] = found.as_slice() else { panic!("{found:?} in {signed}") };
    let cookie = Cookie::parse_encoded(format!("{NAME}={sent}")).expect("a cookie");
    assert_eq!(OURS.verify_cookie(&cookie).as_deref(), Some(value));
    assert_eq!(THEIRS.verify_cookie(&cookie), None);
    let mut longer = cookie.clone();
    longer.set_value(format!("{}x", cookie.value()));
    assert_eq!(OURS.verify_cookie(&longer), None);
}

fn new_keys() -> Keys {
    let file = std::env::temp_dir().join(secret::random_name("sessile_fuzz_").expect("a name"));
    let keys = Keys::read_or_make(&file).expect("keys");
    std::fs::remove_file(&file).expect("a file");
    keys
}
