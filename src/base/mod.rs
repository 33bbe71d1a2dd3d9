//! The foundation of every other layer: settings, keys, the clock, errors, the embedded files and the database.
//!
//! Invariant: nothing in this layer depends on accounts or sessions.

pub mod answered_line;
pub mod app_paths;
pub mod assets;
pub mod base32;
pub mod brand;
pub mod clock;
pub mod coherence;
pub mod database_url;
pub mod db;
pub mod email;
pub mod error;
pub mod instant;
pub mod keys;
pub mod mail;
pub mod metrics;
pub mod outage;
pub mod output;
pub mod recovery_code;
pub mod request_id;
pub mod request_log;
pub mod rfc3339;
pub mod secret;
pub mod settings;
pub mod text;
pub mod totp;
pub mod webauthn;
pub(crate) mod words;
