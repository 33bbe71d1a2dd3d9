//! What is explored in each run, what only with `SESSILE_TEST_LONG`, and what each fault leads to.

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use super::{Fault, Protocol, protocol::NEVER_STALE};
use crate::support::is_long;

/// A lease lasts three of these ticks, and the committing node waits four.
const COARSE: Duration = Duration::from_millis(150);
/// A lease lasts nine of these ticks, and the committing node waits ten.
const FINE: Duration = Duration::from_millis(50);

const ONE_NODE: Protocol = Protocol {
    tick: COARSE,
    nodes: 1,
    first_commits: false,
    fails_over: false,
    on_file: false,
    removes_rows: false,
    notes_removals: false,
    nodes_stop: false,
    keeps_late: true,
    most_arriving: 3,
    fault: None,
};

/// One at a time: each exploration uses every core.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Explores every state.
fn explore(what: &str, model: Protocol) {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = model.checker().threads(threads).spawn_bfs().join();
    let (states, steps) = (checker.unique_state_count(), checker.state_count());
    println!("{what}: {states} states, {steps} steps, {:.1} s", began.elapsed().as_secs_f64());
    checker.assert_properties();
}

/// Searches for a request that is answered although it must not be, and for the shortest way to it.
fn finds(fault: Fault, model: Protocol) {
    let model = Protocol { fault: Some(fault), ..model };
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let states = checker.unique_state_count();
    let way = checker.discovery(NEVER_STALE).unwrap_or_else(|| panic!("{fault:?}: not found in {states} states"));
    println!("{fault:?}, {states} states: {:?}", way.into_actions());
}

#[test]
fn a_node_never_answers_what_has_ended() {
    explore("one node", ONE_NODE);
    explore("one node that commits", Protocol { first_commits: true, ..ONE_NODE });
}

#[test]
fn a_node_whose_row_was_removed_comes_back() {
    explore("one node, row removed", Protocol { removes_rows: true, notes_removals: true, ..ONE_NODE });
}

#[test]
fn a_process_on_a_file_that_is_not_told_never_answers_what_has_ended() {
    let on_file = Protocol { on_file: true, ..ONE_NODE };
    explore("one process on a file", on_file.clone());
    explore("one process on a file, row removed", Protocol { removes_rows: true, ..on_file });
}

#[test]
fn nodes_in_every_trouble_never_answer_what_has_ended() {
    if !is_long() {
        return;
    }
    let troubled = Protocol { fails_over: true, removes_rows: true, nodes_stop: true, ..ONE_NODE };
    explore("one node, every trouble", troubled);
    let fine = Protocol { tick: FINE, ..ONE_NODE };
    explore("one node, fine", Protocol { removes_rows: true, nodes_stop: true, ..fine.clone() });
    explore("one node, fine, failover", Protocol { fails_over: true, ..fine.clone() });
    explore("one node that commits, fine, failover", Protocol { first_commits: true, fails_over: true, ..fine });
    let on_file = Protocol { on_file: true, ..ONE_NODE };
    explore("one process on a file, fine", Protocol { tick: FINE, nodes_stop: true, ..on_file.clone() });
    let two = Protocol { nodes: 2, keeps_late: false, most_arriving: 1, ..on_file };
    explore("two processes on a file", two.clone());
    explore("two processes on a file, the first commits", Protocol { first_commits: true, ..two });
    let two = Protocol { nodes: 2, keeps_late: false, ..ONE_NODE };
    explore("two nodes", Protocol { most_arriving: 2, ..two.clone() });
    let two = Protocol { most_arriving: 1, ..two };
    explore("two nodes, rows removed", Protocol { removes_rows: true, ..two.clone() });
    explore("two nodes, the first commits", Protocol { first_commits: true, ..two });
}

#[test]
fn a_wait_shorter_than_a_lease_is_noticed() {
    finds(Fault::WaitsTooShort, ONE_NODE);
}

#[test]
fn a_lease_from_the_hearing_of_a_beat_is_noticed() {
    finds(Fault::CountsFromHearing, ONE_NODE);
}

#[test]
fn a_cache_that_survives_a_gap_is_noticed() {
    finds(Fault::KeepsCacheAfterGap, ONE_NODE);
}

#[test]
fn a_query_that_is_kept_after_a_change_is_noticed() {
    finds(Fault::KeepsOutdatedRead, ONE_NODE);
}

#[test]
fn rows_that_are_read_before_the_commit_are_noticed() {
    finds(Fault::ReadsRowsBeforeCommit, ONE_NODE);
}

#[test]
fn a_committing_node_that_keeps_its_entry_is_noticed() {
    finds(Fault::KeepsOwnEntry, Protocol { first_commits: true, ..ONE_NODE });
}

#[test]
fn a_reporting_node_that_keeps_its_entry_is_noticed() {
    finds(Fault::ReportsAndKeeps, ONE_NODE);
}

#[test]
fn a_confirmation_before_the_entry_is_dropped_is_noticed() {
    finds(Fault::ConfirmsBeforeDropping, ONE_NODE);
}

#[test]
fn a_beat_without_a_row_is_noticed() {
    finds(Fault::BeatsWithoutRow, Protocol { removes_rows: true, ..ONE_NODE });
}

#[test]
fn a_row_removed_from_a_node_that_beats_is_noticed() {
    finds(Fault::RemovesLivingNode, ONE_NODE);
}

#[test]
fn a_row_removed_as_soon_as_it_is_doubted_is_noticed() {
    finds(Fault::RemovesAtOnce, Protocol { removes_rows: true, ..ONE_NODE });
}

#[test]
fn a_beat_with_a_doubted_row_is_noticed() {
    finds(Fault::BeatsWhenDoubted, Protocol { removes_rows: true, ..ONE_NODE });
}

#[test]
fn beats_on_a_file_that_read_no_number_are_noticed() {
    finds(Fault::IgnoresNumbers, Protocol { on_file: true, ..ONE_NODE });
}

#[test]
fn a_message_that_is_not_part_of_the_commit_is_noticed() {
    finds(Fault::TellsAfterCommit, ONE_NODE);
}
