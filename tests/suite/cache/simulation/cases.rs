//! The property in every trouble, and the tables of docs/scaling.md.

use std::time::Duration;

use crate::support::is_long;

use super::{QUIET, Setting, figures::Figures, server::Costs, trouble::Trouble, world::run};

#[test]
fn quiet_nodes_keep_their_leases_and_confirm_every_end() {
    for nodes in [1, 2, 5, 20] {
        let figures = run(&Setting { nodes, ends: 20.0, ..QUIET });
        println!("{}", by_nodes(&figures));
        assert!(figures.is_carried() && figures.stale == 0 && figures.by_patience == 0);
        let others = (nodes - 1) as u64;
        assert!(
            figures.confirmations.abs_diff(figures.ends * others) <= 3 * others,
            "each other node confirms each end"
        );
        assert!(figures.acknowledged_within(0.99) < Duration::from_millis(50));
    }
}

#[test]
fn no_node_in_trouble_answers_what_has_ended() {
    let mut total = Figures::default();
    for seed in 0..if is_long() { 500 } else { 40 } {
        let nodes = 2 + seed as usize % 11;
        let gathers = (seed % 4 == 0).then_some(Duration::from_millis(20));
        let figures = run(&Setting { seed, nodes, gathers, ends: 15.0, trouble: Trouble::EVERY, ..QUIET });
        assert_eq!(figures.stale, 0, "seed {seed}: {figures:?}");
        total.ends += figures.acknowledged.len() as u64;
        total.by_patience += figures.by_patience;
        total.losses += figures.losses;
        total.troubles += figures.troubles;
    }
    let (ends, by_patience) = (total.ends, total.by_patience);
    println!("{} troubles, {} leases lost, {ends} ends, {by_patience} by patience", total.troubles, total.losses);
    assert!(total.troubles > 500 && total.losses > 100 && by_patience > 100 && ends > by_patience * 3 / 2);
}

#[test]
fn an_end_that_does_not_wait_is_noticed() {
    let figures = run(&Setting { nodes: 3, ends: 20.0, is_hasty: true, ..QUIET });
    assert!(figures.stale > 0, "{figures:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let setting = Setting { nodes: 7, ends: 30.0, trouble: Trouble::EVERY, ..QUIET };
    let figures = |seed| format!("{:?}", run(&Setting { seed, ..setting.clone() }));
    assert_eq!(figures(3), figures(3));
    assert_ne!(figures(3), figures(4));
}

/// The tables of docs/scaling.md.
#[test]
fn tables_for_many_nodes() {
    if !is_long() {
        return;
    }
    let today = Setting { ends: 10.0, sign_ins: 40.0, touches: 500.0, ..QUIET };
    let by_channel = Setting { costs: Costs { wakes_only_interested: true, ..Costs::MEASURED }, ..today.clone() };
    let gathered = Setting { gathers: Some(Duration::from_millis(20)), ..today.clone() };
    let designs = [("as it is", &today), ("wake-ups by channel", &by_channel), ("gathered", &gathered)];
    for (name, setting) in designs {
        println!("\n{name}, 10 ends, 40 sign-ins and 500 touches a second: {BY_NODES}");
        for nodes in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000] {
            println!("{}", by_nodes(&run(&Setting { nodes, ..setting.clone() })));
        }
    }
    println!("\n{BY_ENDS}");
    for (nodes, ends) in [8, 64].into_iter().flat_map(|nodes| [1, 10, 100, 300, 600, 900].map(|ends| (nodes, ends))) {
        println!(
            "{}",
            by_ends(&run(&Setting { nodes, ends: f64::from(ends), sign_ins: 0.0, touches: 0.0, ..today.clone() }))
        );
    }
    println!("\n{LIMITS}");
    for ((name, setting), cores) in designs.into_iter().flat_map(|design| [2, 8, 32].map(|cores| (design, cores))) {
        println!("| {name} | {cores} | {} |", limits(setting, cores));
    }
}

const BY_NODES: &str = "\n\n\
    | nodes | beats/s | notifications/s | wake-ups/s | busy cores of 8 | lock held | confirmations an end | \
    end, median ms | end, 99 % ms | time without lease |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";
const BY_ENDS: &str = "| nodes | ends/s | acknowledged/s | notifications/s | wake-ups/s | busy cores of 8 | lock held | \
    median ms | 99 % ms | time without lease |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";
const LIMITS: &str = "| design | cores | nodes, idle | nodes with 10 ends/s | ends/s of 2 nodes | of 8 | of 32 | of 128 |\n\
    | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

fn by_nodes(of: &Figures) -> String {
    let an_end = of.confirmations as f64 / of.ends.max(1) as f64;
    format!(
        "| {} | {:.0} | {} | {an_end:.0} | {} | {:.1} % |",
        of.nodes,
        of.a_second(of.beats),
        work(of),
        times(of),
        of.without_lease() * 100.0
    )
}

fn by_ends(of: &Figures) -> String {
    format!(
        "| {} | {:.0} | {:.0} | {} | {} | {:.1} % |",
        of.nodes,
        of.a_second(of.ends),
        of.a_second(of.acknowledged.len() as u64),
        work(of),
        times(of),
        of.without_lease() * 100.0
    )
}

/// The server's work: notifications and wake-ups a second, busy cores, and the share of time with the lock held.
fn work(of: &Figures) -> String {
    let (notifications, wakes) = (of.a_second(of.notifications), of.a_second(of.wakes));
    format!("{notifications:.0} | {wakes:.0} | {:.2} | {:.0} %", of.busy_cores(), of.locked() * 100.0)
}

fn times(of: &Figures) -> String {
    let [median, late] = [0.5, 0.99].map(|share| of.acknowledged_within(share).as_secs_f64() * 1e3);
    format!("{median:.1} | {late:.1}")
}

/// The most nodes, and the most ends a second, that the server carries.
fn limits(setting: &Setting, cores: usize) -> String {
    let costs = Costs { cores, ..setting.costs.clone() };
    let short = Setting { time: Duration::from_secs(4), sign_ins: 0.0, touches: 0.0, costs, ..setting.clone() };
    let nodes = |ends: f64| most(1000, |nodes| Setting { nodes, ends, ..short.clone() });
    let ends = |nodes| most(1000, |ends| Setting { nodes, ends: ends as f64, ..short.clone() });
    let cells = [nodes(0.0), nodes(10.0), ends(2), ends(8), ends(32), ends(128)].map(|most| most.to_string());
    cells.join(" | ")
}

/// The largest number up to `limit` that the server carries, within 5 %.
fn most(limit: usize, setting: impl Fn(usize) -> Setting) -> usize {
    let (mut good, mut bad) = (0, limit + 1);
    let mut middle = limit;
    while bad - good > 1 + good / 20 {
        if run(&setting(middle)).is_carried() {
            good = middle;
        } else {
            bad = middle;
        }
        middle = good + (bad - good) / 2;
    }
    good
}
