//! Checks of the repository itself: its layers, migrations, files for operators, and the claims in its docs.

mod account_first;
mod actions;
mod announcements;
mod claims;
mod imports;
mod links;
mod migrations;
mod module_graph;
mod operations;
mod proxies;
mod routes;
mod tables;
