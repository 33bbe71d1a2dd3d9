//! The house: its bands, its two sets of migrations, and what it hands to operators.

mod bands;
mod migrations;
mod operations;
