//! How long the parts of a signed-in request take. Run with `cargo bench`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot prepare its data has nothing to measure")]

mod cookie;
mod render;
mod session;

use criterion::{criterion_group, criterion_main};

criterion_group!(benches, cookie::benches, session::benches, render::benches);
criterion_main!(benches);
