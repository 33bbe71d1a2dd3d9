//! A simulation of many nodes, their database and the network, to see what the messages between the nodes cost as nodes
//! and ends grow, and where each part saturates. The model beside it explores every order of events for one or two
//! nodes. The simulation follows one order of events, drawn from a seed, for up to 1,000 nodes, and has costs and delays.
//!
//! The real [`Lease`](sessile::base::coherence::Lease) and [`Confirmations`](sessile::base::coherence::Confirmations)
//! decide in it, and the real durations count. Time is virtual: nothing sleeps, and the same seed gives the same run.
//!
//! - The [server] has a number of cores, one lock that every notifying commit holds, and one queue of notifications. Its
//!   costs are those that `scripts/bench notify` measures.
//! - A [node] sends beats, hears announcements and confirms them, as `base::db` does.
//! - The [world] holds both, and delivers what they send after a random delay.
//! - [Trouble](trouble) freezes nodes, cuts or delays their connections, and stops the server for a while.
//!
//! The property, checked throughout: from the acknowledgement of an end on, no node that still holds the session has a
//! lease. Every node holds each session when it ends, which is the worst case.
//!
//! Not simulated: failovers, SQLite, and nodes that join or leave. The model covers them.

mod cases;
mod figures;
mod node;
mod random;
mod server;
mod trouble;
mod world;

use std::time::Duration;

use self::{server::Costs, trouble::Trouble};

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Setting {
    pub seed: u64,
    pub nodes: usize,
    /// How long load is simulated, after all nodes have a lease.
    pub time: Duration,
    /// Changes a second that are announced and confirmed: ends of sessions, and new keys.
    pub ends: f64,
    /// Sign-ins a second. They wait for nobody. Like ends, they are mentioned to open pages.
    pub sign_ins: f64,
    /// Touches a second. Each node writes those of half a second in one statement.
    pub touches: f64,
    pub costs: Costs,
    pub trouble: Trouble,
    /// A design that is not built: beats and confirmations do not notify. One node gathers those of all nodes, this often,
    /// and sends them as one notification.
    pub gathers: Option<Duration>,
    /// Acknowledges ends without waiting for other nodes, to see that the property notices.
    pub is_hasty: bool,
}

/// One node, no load, no trouble.
pub const QUIET: Setting = Setting {
    seed: 1,
    nodes: 1,
    time: Duration::from_secs(10),
    ends: 0.0,
    sign_ins: 0.0,
    touches: 0.0,
    costs: Costs::MEASURED,
    trouble: Trouble::NONE,
    gathers: None,
    is_hasty: false,
};
