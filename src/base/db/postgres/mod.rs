//! PostgreSQL: connecting, session settings, the pool, and LISTEN. Called by the pools of `db`.
//!
//! Invariant: every connection leads to a primary and starts with the same session settings.

pub(super) mod beat;
mod connection;
pub(super) mod listen;
mod opener;
mod plan;
pub(super) mod preflight;
mod refusal;
mod timeline;

pub use self::{
    connection::Connection,
    opener::{Opener, Pooled, pool},
    plan::ConnectPlan,
    refusal::ConnectError,
    timeline::LatestTimeline,
};
