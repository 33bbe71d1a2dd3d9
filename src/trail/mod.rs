//! The audit trail as people read it: events in plain words, and the picture of a week. Called by the dashboard and by
//! `/activity`.
//!
//! Invariant: what is shown here is in words that everybody knows.

pub mod week;
pub mod words;

pub use self::{week::Week, words::EventRow};
