//! The messages between the processes on one database: their wire format, the events that a listener receives, and the
//! messages that a unit of work sends after its commit. Used by the pools and listeners of both engines.
//!
//! Invariant: only the records interpret the texts.

use std::sync::Arc;

use crate::base::instant::Instant;

/// The longest text that can be announced, in bytes. NOTIFY takes 8,000 bytes; the rest is for the timestamp.
pub const LONGEST_TEXT: usize = 7_000;

/// An event that a listener receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// From now on, every committed message is received. Earlier messages may have been missed.
    Sure,
    /// From now on, messages may be missed.
    Unsure,
    /// A message whose transaction has committed.
    Said {
        /// The database's time shortly before the commit; `None` for a mention.
        at: Option<Instant>,
        text: String,
    },
}

/// A listener's callback. It must not block.
pub type Tell = Arc<dyn Fn(Heard) + Send + Sync>;

/// Sends [`Heard::Unsure`] to the listener when dropped.
pub(super) struct UnsureOnDrop(pub(super) Tell);

impl Drop for UnsureOnDrop {
    fn drop(&mut self) {
        (self.0)(Heard::Unsure);
    }
}

/// Messages to send once a unit of work has committed.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Announcements with the database's time, sent with the commit. Unused on PostgreSQL, which sends them itself.
    pub(super) announced: Vec<(Instant, String)>,
    /// Mentions, sent some time after the commit.
    pub(super) mentioned: Vec<String>,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.announced.is_empty() && self.mentioned.is_empty()
    }
}

/// Formats a message as one line: the time in microseconds, or `-`, then the text.
pub(super) fn stamped(at: Option<Instant>, text: &str) -> String {
    at.map_or_else(|| format!("- {text}"), |at| format!("{} {text}", at.micros()))
}

/// Parses a line of [`stamped`]. A line without a space is taken as the text.
pub(super) fn said(line: &str) -> Heard {
    let (stamp, text) = line.split_once(' ').unwrap_or(("", line));
    Heard::Said { at: stamp.parse().ok().map(Instant::from_micros), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_formatting_and_parsing() {
        let at = Instant::from_micros(1_795_460_400_123_456);
        assert_eq!(said(&stamped(Some(at), "a b")), Heard::Said { at: Some(at), text: "a b".into() });
        assert_eq!(said(&stamped(None, "{\"a\": 1}")), Heard::Said { at: None, text: "{\"a\": 1}".into() });
        assert_eq!(said("odd"), Heard::Said { at: None, text: "odd".into() });
    }
}
