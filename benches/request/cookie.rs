//! The session cookie: verified in each request, signed again for actix-session and when it is renewed.

use std::hint::black_box;
use std::path::Path;

use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue};
use criterion::Criterion;
use sessile::{
    base::{db::Instant, keys::Keys, secret, settings::PublicUrl},
    records::session::SessionKey,
    web::cookies::CookieNames,
};

pub fn benches(criterion: &mut Criterion) {
    let keys = new_keys();
    let names = CookieNames::new(&PublicUrl::localhost(8080, false));
    let key = SessionKey::generate("acc_0123456789abcdefghijkl", Instant::from_micros(0)).unwrap();
    let cookie = keys.sign_cookie(&names.session, key.expose());
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, HeaderValue::try_from(cookie.encoded().to_string()).unwrap());
    let sent = names.sent_session(&headers, &keys);
    assert!(sent.presented.key().is_some_and(|presented| presented.is_same(&key)));

    let mut group = criterion.benchmark_group("session cookie");
    group.bench_function("verify", |bench| bench.iter(|| names.sent_session(black_box(&headers), &keys)));
    group.bench_function("sign", |bench| bench.iter(|| keys.sign_cookie(&names.session, black_box(key.expose()))));
    group.bench_function("rewrite for actix-session", |bench| {
        bench.iter_batched_ref(
            || headers.clone(),
            |headers| names.keep_accepted(headers, &sent, &names.device_secrets(headers), &keys),
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// Keys from a new key file, which is removed at once.
fn new_keys() -> Keys {
    let folder = std::env::temp_dir().join(secret::random_name("sessile-bench-").unwrap());
    let keys = Keys::read_or_make(&folder.join("session.key")).unwrap();
    remove(&folder);
    keys
}

fn remove(folder: &Path) {
    std::fs::remove_dir_all(folder).unwrap();
}
