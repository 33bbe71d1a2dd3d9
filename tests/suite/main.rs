//! Tests of the product's promises through its public interfaces: the session store on both engines, the served program
//! over HTTP, the program as a process that is killed and restarted, the audit events, and the repository itself.
//!
//! A plain `cargo test` ignores the cases that need PostgreSQL. `./scripts/test` starts one and runs all cases.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a case that cannot go on has failed")]

mod support;

mod cache;
mod centre;
mod citus;
mod factor;
mod factor_rule;
mod gate;
mod guessing;
mod house;
mod http;
mod live;
mod passkeys;
mod people;
mod process;
mod proxies;
mod store;
mod sync;
mod trail;
