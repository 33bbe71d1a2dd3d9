//! The house: its imports, its two sets of migrations, what it hands to operators, and what its README says of it.

mod imports;
mod migrations;
mod module_graph;
mod operations;
mod readme;
