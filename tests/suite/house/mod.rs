//! The house: its bands, its two sets of migrations, what it hands to operators, and what its README says of it.

mod actions;
mod bands;
mod migrations;
mod operations;
mod readme;
