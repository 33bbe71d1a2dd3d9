//! The house: its bands, its two sets of migrations, and what its README says of it.

mod bands;
mod migrations;
mod readme;
