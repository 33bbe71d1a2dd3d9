//! What goes wrong in a simulation, at random times. Used by the world.

use std::time::Duration;

/// Mean times between troubles of one kind, for the whole installation; `None` for never. And how long each takes.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// A node takes no step, as after SIGSTOP. Its messages wait.
    pub freezes: Option<Duration>,
    pub longest_freeze: Duration,
    /// A node's listening connection is dead. The node notices after up to this time, and listens anew.
    pub cuts: Option<Duration>,
    pub longest_cut: Duration,
    /// Everything on a node's connections takes this much longer for a while.
    pub delays: Option<Duration>,
    pub longest_delay: Duration,
    /// The server stands still, as when its disk hangs.
    pub stalls: Option<Duration>,
    pub longest_stall: Duration,
    /// A node is killed, and never comes back.
    pub deaths: Option<Duration>,
}

impl Trouble {
    pub const NONE: Self = Self {
        freezes: None,
        longest_freeze: Duration::from_secs(3),
        cuts: None,
        longest_cut: Duration::from_secs(4),
        delays: None,
        longest_delay: Duration::from_secs(1),
        stalls: None,
        longest_stall: Duration::from_millis(1500),
        deaths: None,
    };

    /// Something is wrong somewhere most of the time.
    pub const EVERY: Self = Self {
        freezes: Some(Duration::from_millis(2500)),
        cuts: Some(Duration::from_millis(3000)),
        delays: Some(Duration::from_millis(2500)),
        stalls: Some(Duration::from_millis(7000)),
        deaths: Some(Duration::from_secs(10)),
        ..Self::NONE
    };

    /// The kinds that occur, with their mean times.
    pub fn kinds(&self) -> impl Iterator<Item = (Kind, Duration)> + use<> {
        let all = [
            (Kind::Freeze, self.freezes),
            (Kind::Cut, self.cuts),
            (Kind::Delay, self.delays),
            (Kind::Stall, self.stalls),
            (Kind::Death, self.deaths),
        ];
        all.into_iter().filter_map(|(kind, mean)| Some((kind, mean?)))
    }

    pub fn longest(&self, kind: Kind) -> Duration {
        match kind {
            Kind::Freeze => self.longest_freeze,
            Kind::Cut => self.longest_cut,
            Kind::Delay => self.longest_delay,
            Kind::Stall => self.longest_stall,
            Kind::Death => Duration::ZERO,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Freeze,
    Cut,
    Delay,
    Stall,
    Death,
}
