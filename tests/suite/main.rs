//! What the product promises, tested from outside: the session store on both engines, the served program over HTTP,
//! the program as a process that is killed and started again, the audit trail, and the house itself.
//!
//! Cases that need PostgreSQL are ignored by a plain `cargo test`; `./scripts/test` starts one and runs them all.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a case that cannot go on has failed")]

mod support;

mod centre;
mod guessing;
mod house;
mod http;
mod live;
mod process;
mod store;
mod sync;
mod trail;
