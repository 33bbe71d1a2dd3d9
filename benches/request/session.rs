//! Reading a session: the key that the browser presents, and the state that the database stores. A hit of the session
//! cache belongs here too, once there is a cache.

use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use serde_json::json;
use sessile::{
    base::db::Instant,
    records::session::{SessionKey, state},
};

pub fn benches(criterion: &mut Criterion) {
    let key = SessionKey::generate("acc_0123456789abcdefghijkl", Instant::from_micros(0)).unwrap();
    let (text, hash) = (key.expose(), key.secret().hash());
    let stored = json!({ "theme": "\"dark\"", "cart": "[1,2,3]", "step": "2" });

    let mut group = criterion.benchmark_group("session");
    group.bench_function("parse the key", |bench| bench.iter(|| SessionKey::parse(black_box(&text))));
    group.bench_function("compare the secret", |bench| bench.iter(|| key.secret().matches(black_box(&hash))));
    group.bench_function("read the stored state", |bench| {
        bench.iter_batched(|| stored.clone(), state::from_row, BatchSize::SmallInput);
    });
    group.finish();
}
