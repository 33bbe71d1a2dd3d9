//! The house: its bands, its addresses, its two sets of migrations, what it hands to operators, and what its README says of it.

mod bands;
mod migrations;
mod operations;
mod readme;
mod routes;
