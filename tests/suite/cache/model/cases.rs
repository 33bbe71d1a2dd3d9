//! The cases. `--nocapture` shows how many states were explored. Larger models with `SESSILE_TEST_LONG`.

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use super::{Fault, protocol::Protocol};
use crate::support::is_long;

pub const NEVER_STALE: &str = "no read that begins after the acknowledgement is answered from memory";

/// A lease lasts three of these ticks, the patience four.
const COARSE: Duration = Duration::from_millis(150);
/// A lease lasts nine of these ticks, the patience ten.
const FINE: Duration = Duration::from_millis(50);

const ONE_NODE: Protocol = Protocol {
    tick: COARSE,
    nodes: 1,
    commits: false,
    fails_over: false,
    removes_rows: false,
    stops: false,
    most_arriving: 3,
    notes_removal: false,
    keeps_late: true,
    fault: None,
};
const WITH_REMOVED_ROWS: Protocol = Protocol { removes_rows: true, ..ONE_NODE };
/// The node commits the end itself.
const COMMITTING: Protocol = Protocol { commits: true, ..ONE_NODE };

/// Explores every state, and checks the properties in each.
fn explore(what: &str, model: Protocol) {
    let began = Instant::now();
    let checker = model.checker().threads(2).spawn_bfs().join();
    let (states, deep, time) = (checker.unique_state_count(), checker.max_depth(), began.elapsed().as_secs_f64());
    println!("{what}: {states} states, {deep} deep, {time:.1} s");
    checker.assert_properties();
}

/// Checks that a model with a broken rule answers a read that it must not answer.
fn finds(fault: Fault, model: Protocol) {
    let model = Protocol { fault: Some(fault), ..model };
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let states = checker.unique_state_count();
    let found = checker.discovery(NEVER_STALE).unwrap_or_else(|| panic!("{fault:?} was not found in {states} states"));
    println!("{fault:?}: found after {} steps", found.into_actions().len());
}

#[test]
fn no_read_after_the_acknowledgement_is_answered_from_memory() {
    explore("one node", ONE_NODE);
    explore("a node that commits", COMMITTING);
    explore("rows are removed", Protocol { notes_removal: true, ..WITH_REMOVED_ROWS });
    if is_long() {
        let everything = Protocol { fails_over: true, stops: true, ..WITH_REMOVED_ROWS };
        explore("rows are removed, a node stops, a failover", everything.clone());
        explore("the same with finer ticks", Protocol { tick: FINE, ..everything });
        explore("two nodes", Protocol { nodes: 2, most_arriving: 2, ..ONE_NODE });
    }
}

#[test]
fn each_broken_rule_is_found() {
    for fault in [
        Fault::WaitsTooShort,
        Fault::CountsFromHearing,
        Fault::KeepsCacheAfterGap,
        Fault::KeepsOutdatedRead,
        Fault::ReadsRowsBeforeCommit,
        Fault::ConfirmsBeforeDropping,
        Fault::RemovesLivingNode,
        Fault::TellsAfterCommit,
    ] {
        finds(fault, ONE_NODE);
    }
    finds(Fault::BeatsWithoutRow, WITH_REMOVED_ROWS);
    finds(Fault::KeepsOwnEntry, COMMITTING);
}
