//! The lease of a node, without I/O.

use std::collections::VecDeque;
use std::time::Duration;

use super::{announcements::Announcements, moment::Moment};

/// How long after sending a beat a node may answer from memory, once it has heard the beat.
pub const LEASE: Duration = Duration::from_millis(450);
/// The time between two beats. Two beats may be lost before the lease runs out.
pub const BEAT_INTERVAL: Duration = Duration::from_millis(150);
/// Maximum number of beats that are remembered until they are heard.
const MOST_SENT: usize = 8;

/// Until when a node may answer from memory, and the beats that can extend that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Lease {
    last: u64,
    /// The beats that were not heard yet, with the times at which they were sent.
    sent: VecDeque<(u64, Moment)>,
    until: Option<Moment>,
}

/// What a beat did to the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// The beat is unknown: it was sent before a gap, or by a node of an earlier life. Or an announcement from before the
    /// beat has not been heard; it may be under way, and the lease has not run out.
    Ignored,
    /// The lease goes on without a break.
    Extended,
    /// The lease had run out or been lost. Empty the cache before using the lease. Announcements that were not heard
    /// count as heard from then on.
    Regained,
}

impl Lease {
    /// Notes that a beat is sent now, and returns its number. Call this before the beat's transaction begins.
    pub fn send(&mut self, now: Moment) -> u64 {
        self.last += 1;
        self.sent.push_back((self.last, now));
        if self.sent.len() > MOST_SENT {
            self.sent.pop_front();
        }
        self.last
    }

    /// Extends the lease by a beat that was heard, if no announcement from before the beat is missing.
    pub fn hear(&mut self, beat: u64, now: Moment, announcements: &mut Announcements) -> Renewal {
        let Some((_, sent_at)) = self.sent.iter().find(|(number, _)| *number == beat).copied() else {
            return Renewal::Ignored;
        };
        self.sent.retain(|(number, _)| *number > beat);
        let had_lease = self.allows(now);
        if had_lease && announcements.misses_some() {
            return Renewal::Ignored;
        }
        self.until = Some(self.until.unwrap_or_default().max(sent_at.plus(LEASE)));
        if had_lease {
            return Renewal::Extended;
        }
        announcements.catch_up();
        Renewal::Regained
    }

    /// Ends the lease: announcements may have been missed, or the node's row is gone. Beats that are under way do not
    /// bring it back.
    pub fn lose(&mut self) {
        self.sent.clear();
        self.until = None;
    }

    /// Whether the node may answer from memory.
    pub fn allows(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// The end of the lease; `None` if there is none.
    pub fn until(&self) -> Option<Moment> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    fn hear(lease: &mut Lease, beat: u64, now: Moment) -> Renewal {
        lease.hear(beat, now, &mut Announcements::default())
    }

    #[test]
    fn a_lease_lasts_from_the_time_of_sending() {
        let mut lease = Lease::default();
        assert!(!lease.allows(at(0)));
        let beat = lease.send(at(1000));
        assert!(!lease.allows(at(1001)), "the beat was not heard yet");
        assert_eq!(hear(&mut lease, beat, at(1300)), Renewal::Regained);
        assert!(lease.allows(at(1449)) && !lease.allows(at(1450)));
    }

    #[test]
    fn a_lease_is_extended_only_without_a_break() {
        let mut lease = Lease::default();
        let (first, second) = (lease.send(at(0)), lease.send(at(150)));
        assert_eq!(hear(&mut lease, first, at(10)), Renewal::Regained);
        assert_eq!(hear(&mut lease, second, at(449)), Renewal::Extended);
        let third = lease.send(at(300));
        assert_eq!(hear(&mut lease, third, at(601)), Renewal::Regained, "it ran out at 600");
        assert!(lease.allows(at(749)));
    }

    #[test]
    fn a_late_beat_gives_no_lease() {
        let mut lease = Lease::default();
        let beat = lease.send(at(0));
        hear(&mut lease, beat, at(2000));
        assert!(!lease.allows(at(2000)));
    }

    #[test]
    fn beats_from_before_a_gap_are_ignored() {
        let mut lease = Lease::default();
        let (first, second) = (lease.send(at(0)), lease.send(at(10)));
        hear(&mut lease, first, at(20));
        lease.lose();
        assert!(!lease.allows(at(30)));
        assert_eq!(hear(&mut lease, second, at(40)), Renewal::Ignored);
        assert!(!lease.allows(at(40)));
        assert_eq!(hear(&mut lease, 99, at(40)), Renewal::Ignored);
    }

    #[test]
    fn a_beat_that_read_of_an_unheard_announcement_does_not_extend_the_lease() {
        let (mut lease, mut announcements) = (Lease::default(), Announcements::default());
        let first = lease.send(at(0));
        announcements.read(7);
        assert_eq!(lease.hear(first, at(10), &mut announcements), Renewal::Regained);
        for sent in [150, 300] {
            let beat = lease.send(at(sent));
            announcements.read(8);
            assert_eq!(lease.hear(beat, at(sent + 10), &mut announcements), Renewal::Ignored);
        }
        assert!(lease.allows(at(449)) && !lease.allows(at(450)));
        let later = lease.send(at(450));
        announcements.read(8);
        assert_eq!(lease.hear(later, at(460), &mut announcements), Renewal::Regained);
        let heard = lease.send(at(600));
        announcements.read(9);
        announcements.hear(9);
        assert_eq!(lease.hear(heard, at(610), &mut announcements), Renewal::Extended);
    }

    #[test]
    fn beats_that_are_never_heard_are_forgotten() {
        let mut lease = Lease::default();
        let first = lease.send(at(0));
        for n in 0..100 {
            lease.send(at(n));
        }
        assert!(lease.sent.len() <= MOST_SENT);
        assert_eq!(hear(&mut lease, first, at(100)), Renewal::Ignored);
    }
}
