//! The house: its bands, and its two sets of migrations.

mod bands;
mod migrations;
