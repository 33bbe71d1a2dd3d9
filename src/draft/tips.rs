//! An account's last counts of changes, each with a random tip: where the database was set back, the same count comes again
//! with another tip. Called by [`apply`](super::apply) and [`portion`](super::portion).
//!
//! Invariant: of two histories that went apart, a count after that has the same tip in both by chance alone.

use std::fmt;

use crate::{error::Result, secret};

/// How many are remembered.
const MOST: usize = 64;

/// The last counts with their tips, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tips(Vec<(i64, String)>);

impl Tips {
    /// From what Display made.
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split_ascii_whitespace().filter_map(|pair| pair.split_once(':'));
        Self(pairs.filter_map(|(count, tip)| Some((count.parse().ok()?, tip.to_owned()))).collect())
    }

    /// Adds a count that is reached now.
    pub(super) fn reach(&mut self, count: i64) -> Result<()> {
        self.0.retain(|(before, _)| *before < count);
        self.0.push((count, secret::random_text::<4>()?));
        let beyond = self.0.len().saturating_sub(MOST);
        self.0.drain(..beyond);
        Ok(())
    }

    /// The tip of a count, as long as it is remembered.
    pub(super) fn of(&self, count: i64) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == count).map(|(_, tip)| tip.as_str())
    }

    /// Whether this count was reached with another tip.
    pub(super) fn contradict(&self, count: i64, tip: &str) -> bool {
        self.of(count).is_some_and(|known| known != tip)
    }
}

impl fmt::Display for Tips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|(count, tip)| format!("{count}:{tip}")).collect();
        f.write_str(&pairs.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_is_reached_again_has_another_tip() {
        let mut before = Tips::default();
        for count in 1..=100 {
            before.reach(count).unwrap();
        }
        assert_eq!(Tips::parse(&before.to_string()), before);
        assert_eq!((before.of(36), before.of(37).is_some()), (None, true), "64 are remembered");
        let mut after = before.clone();
        after.reach(90).unwrap();
        after.reach(91).unwrap();
        let contradicted = |count| after.contradict(count, before.of(count).unwrap());
        assert_eq!((89..=92).map(contradicted).collect::<Vec<_>>(), [false, true, true, false]);
    }
}
