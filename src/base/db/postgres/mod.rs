//! PostgreSQL: connecting, session settings, the pool, and LISTEN. Called by the pools of `db`.

mod connection;
pub(super) mod listen;
mod opener;
mod plan;
pub(super) mod preflight;
mod refusal;

pub use self::{
    connection::Connection,
    opener::{Opener, Pooled, pool},
    plan::ConnectPlan,
    refusal::ConnectError,
};
