//! The session cache: what is answered from memory, and that nothing is answered from memory after a change was
//! acknowledged.

#![expect(clippy::print_stdout, reason = "times and counts, for whoever asks cargo to show them")]

mod behind_a_pooler;
mod changes;
pub mod commands;
mod ends;
mod lost_announcements;
mod memory;
mod model;
mod readers;
mod silent_nodes;
mod simulation;
mod unheard_ends;

use crate::support::{Served, eventually};

const KIM: &str = "kim@example.com";

/// The value of a metric of a node.
fn metric(node: &Served, name: &str) -> f64 {
    let text = node.client().get("/metrics").body;
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    let value = line.and_then(|line| line.rsplit(' ').next()).unwrap_or_else(|| panic!("no {name} in {text}"));
    value.parse().expect("a number")
}

async fn has_lease(node: &Served) {
    eventually("the node has a lease", async || metric(node, "sessile_session_cache_lease") == 1.0).await;
}
