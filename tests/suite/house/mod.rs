//! The repository: its layers, its two sets of migrations, what it gives to operators, and what its docs claim.

mod account_first;
mod bands;
mod claims;
mod links;
mod migrations;
mod operations;
mod tables;
