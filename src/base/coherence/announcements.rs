//! Which of the numbered announcements on an SQLite file this node has heard, without I/O.
//!
//! A process on a file sends its announcements to the sockets of the others after its commit, and that may fail. So each
//! transaction that announces something also raises a number in the database, and sends the number with its messages.
//! Each beat reads the number before it is sent through the node's own socket. If the node has not heard every
//! announcement up to that number, the beat does not extend the lease.
//!
//! - **Safety.** SQLite has one writer, so the numbers follow the order of the commits, and a beat that was sent after a
//!   commit reads that commit's number or a later one. So a lease from a beat that was sent after the commit proves that
//!   the node has heard the announcement, or has emptied its cache since the commit. Any other lease runs out within
//!   [`LEASE`](super::LEASE) after the commit, before the committing process stops waiting.
//! - **Order.** Messages of several processes may arrive in another order than their commits. Numbers that arrive early
//!   are remembered, so nothing is missed when the earlier ones follow.
//! - **Messages under way.** A beat may read a number whose message arrives a moment later. Such a beat is ignored, and
//!   the next one extends the lease. Only when the lease has run out is the cache emptied, and the number counts as
//!   heard: everything that is cached afterwards is read after the announced commits.
//! - **Own announcements.** A process applies its own change right after the commit, and then notes its number itself. If
//!   it is unknown whether the commit took effect, the process does not note the number, and a later beat finds it.
//!
//! PostgreSQL delivers the announcements itself, in the order of the commits. There no number is ever read.

use std::collections::BTreeSet;

/// Maximum number of announcements that are remembered while an earlier one is missing. Further ones count as missed.
const MOST_EARLY: usize = 4_096;

/// The announcements that this node has heard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Announcements {
    /// The number that the last beat read.
    read: Option<u64>,
    /// Everything up to this number was heard, or happened before the cache was emptied. `None` if that is not known.
    heard: Option<u64>,
    /// Later numbers that were heard.
    early: BTreeSet<u64>,
}

impl Announcements {
    /// A beat has read the number of the last committed announcement. Call this before the beat is sent on.
    pub fn read(&mut self, number: u64) {
        // The database was set back, so numbers are given again.
        if self.read.is_some_and(|read| number < read) {
            (self.heard, self.early) = (None, BTreeSet::new());
        }
        self.read = Some(number);
    }

    /// The announcement with this number was applied to the cache.
    pub fn hear(&mut self, number: u64) {
        let is_later = self.heard.is_none_or(|heard| number > heard);
        if is_later && self.early.len() < MOST_EARLY {
            self.early.insert(number);
            self.advance();
        }
    }

    /// Whether an announcement up to the number that the last beat read has not been heard.
    pub fn misses_some(&self) -> bool {
        self.read > self.heard
    }

    /// Whether an announcement before `number` has not been heard.
    pub fn misses_before(&self, number: u64) -> bool {
        self.heard.is_none_or(|heard| heard.saturating_add(1) < number)
    }

    /// The cache was emptied after everything up to the number that the last beat read was committed.
    pub fn catch_up(&mut self) {
        if let Some(read) = self.read {
            self.catch_up_to(read);
        }
    }

    /// The cache was emptied after everything up to `number` was committed.
    pub fn catch_up_to(&mut self, number: u64) {
        self.heard = self.heard.max(Some(number));
        self.advance();
    }

    fn advance(&mut self) {
        let Some(mut heard) = self.heard else { return };
        self.early = self.early.split_off(&heard.saturating_add(1));
        while self.early.remove(&heard.saturating_add(1)) {
            heard += 1;
        }
        self.heard = Some(heard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught_up(number: u64) -> Announcements {
        let mut announcements = Announcements::default();
        announcements.read(number);
        announcements.catch_up();
        announcements
    }

    #[test]
    fn a_node_starts_without_having_heard_anything() {
        let mut announcements = Announcements::default();
        assert!(!announcements.misses_some(), "nothing was read, as on PostgreSQL");
        announcements.read(0);
        assert!(announcements.misses_some() && announcements.misses_before(1));
        announcements.catch_up();
        assert!(!announcements.misses_some() && !announcements.misses_before(1));
    }

    #[test]
    fn a_number_that_was_read_and_not_heard_is_missed() {
        let mut announcements = caught_up(5);
        announcements.read(6);
        assert!(announcements.misses_some());
        announcements.hear(6);
        assert!(!announcements.misses_some());
    }

    #[test]
    fn announcements_may_arrive_in_any_order() {
        let mut announcements = caught_up(5);
        announcements.hear(8);
        announcements.hear(7);
        assert!(announcements.misses_before(7) && announcements.misses_before(8));
        announcements.read(8);
        assert!(announcements.misses_some());
        announcements.hear(6);
        assert!(!announcements.misses_some() && announcements.early.is_empty());
        announcements.hear(6);
        assert_eq!(announcements, caught_up(8), "a number that was heard twice changes nothing");
    }

    #[test]
    fn what_was_heard_before_the_first_beat_counts() {
        let mut announcements = Announcements::default();
        announcements.hear(6);
        announcements.read(5);
        announcements.catch_up();
        assert!(!announcements.misses_before(7));
    }

    #[test]
    fn numbers_that_are_given_again_are_missed() {
        let mut announcements = caught_up(5);
        announcements.read(2);
        assert!(announcements.misses_some());
    }

    #[test]
    fn the_memory_for_early_numbers_is_bounded() {
        let mut announcements = caught_up(0);
        (2..10_000).for_each(|number| announcements.hear(number));
        assert_eq!(announcements.early.len(), MOST_EARLY);
        announcements.read(9_999);
        assert!(announcements.misses_some());
    }
}
