//! What everything else stands on: settings, keys, the clock, errors, the embedded files and the database.
//!
//! Invariant: nothing here knows accounts or sessions.

pub mod assets;
pub mod clock;
pub mod db;
pub mod email;
pub mod error;
pub mod keys;
pub mod metrics;
pub mod outage;
pub mod output;
pub mod secret;
pub mod settings;
pub mod text;
