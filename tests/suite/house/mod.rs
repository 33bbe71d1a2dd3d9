//! The repository: its layers, its two sets of migrations, what it gives to operators, and what its docs claim.

mod account_first;
mod actions;
mod claims;
mod imports;
mod links;
mod migrations;
mod module_graph;
mod operations;
mod routes;
mod tables;
