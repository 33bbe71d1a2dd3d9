//! Rendering pages, without the data that they show being read.

use askama::Template;
use criterion::Criterion;
use sessile::pages::{dashboard, login};

pub fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("render");
    let (login, dashboard) = (login::page::sample(), dashboard::sample::dashboard());
    group.bench_function("/login", |bench| bench.iter(|| login.render().unwrap()));
    group.bench_function("/dashboard", |bench| bench.iter(|| dashboard.render().unwrap()));
    group.finish();
}
