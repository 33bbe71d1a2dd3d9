//! The messages between the processes on one database: how they travel, what a listener hears, and what a unit of work has
//! yet to send. Their texts mean something only to the records.

use std::sync::Arc;

use crate::base::instant::Instant;

/// The longest text that can be announced, in bytes: a little less than what NOTIFY takes with its stamp.
pub const LONGEST_TEXT: usize = 7_000;

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// From now on everything that commits is heard. What committed before may have been missed.
    Sure,
    /// From now on things may be missed.
    Unsure,
    /// Somebody committed this.
    Said {
        /// The database's time shortly before the commit, if it was announced.
        at: Option<Instant>,
        /// What.
        text: String,
    },
}

/// Where to tell a listener. It must not wait.
pub type Tell = Arc<dyn Fn(Heard) + Send + Sync>;

/// Says that nothing is heard any more when it is dropped.
pub(super) struct UnsureOnDrop(pub(super) Tell);

impl Drop for UnsureOnDrop {
    fn drop(&mut self) {
        (self.0)(Heard::Unsure);
    }
}

/// What a unit of work has to tell once it is committed.
#[derive(Debug, Default)]
pub struct Outbox {
    /// With the database's time, to be told with the commit; only where the database does not carry them itself.
    pub(super) announced: Vec<(Instant, String)>,
    /// To be told at some time after it.
    pub(super) mentioned: Vec<String>,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.announced.is_empty() && self.mentioned.is_empty()
    }
}

/// A text with its stamp on one line, as it travels.
pub(super) fn stamped(at: Option<Instant>, text: &str) -> String {
    at.map_or_else(|| format!("- {text}"), |at| format!("{} {text}", at.micros()))
}

/// What [`stamped`] made; a line without a stamp is taken whole.
pub(super) fn said(line: &str) -> Heard {
    let (stamp, text) = line.split_once(' ').unwrap_or(("", line));
    Heard::Said { at: stamp.parse().ok().map(Instant::from_micros), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_out_of_its_line_as_it_went_in() {
        let at = Instant::from_micros(1_795_460_400_123_456);
        assert_eq!(said(&stamped(Some(at), "a b")), Heard::Said { at: Some(at), text: "a b".into() });
        assert_eq!(said(&stamped(None, "{\"a\": 1}")), Heard::Said { at: None, text: "{\"a\": 1}".into() });
        assert_eq!(said("odd"), Heard::Said { at: None, text: "odd".into() });
    }
}
