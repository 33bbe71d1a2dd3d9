//! Tables that are distributed over several PostgreSQL servers by the extension Citus. Called by the pools, by the
//! statements that reach rows of several accounts, by the migrations, and by `sessile distribute`.
//!
//! A server called the coordinator takes all connections. It sends each statement to the servers that have the rows, the
//! workers. A statement that names one account goes to one worker and may do anything. A statement that names several
//! accounts goes to several workers: it may read and change rows, but it cannot lock the rows that it reads.
//!
//! Invariant: no result depends on whether the tables are distributed. [`is_distributed`](super::Conn::is_distributed) may be out of date for a
//! moment after `sessile distribute`: a statement that Citus refuses then fails, and changes nothing.

mod distribute;
mod distribution;
mod look;
mod migration;
mod placement;

pub(super) use self::{
    distribute::distribute,
    distribution::Distribution,
    look::{begin_walk, is_about_worker, look},
    migration::OnCitus,
};
pub use self::{
    distribute::{Outcome, Told},
    placement::{Placements, read as placements},
};
