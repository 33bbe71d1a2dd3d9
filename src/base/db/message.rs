//! The messages between the processes on one database: their wire format, the events that a listener receives, and the
//! messages that a unit of work sends after its commit. Used by the pools and listeners of both engines.
//!
//! Invariant: only the records interpret the texts.

use std::sync::Arc;

use crate::base::{
    coherence::{Coherence, Tag, Wait},
    instant::Instant,
};

/// The longest text that can be announced, in bytes. NOTIFY takes 8,000 bytes; the rest is for the timestamp.
pub const LONGEST_TEXT: usize = 7_000;

/// An announcement that changes nothing. A node that confirms it has heard all announcements before it.
pub const FENCE: &str = r#"{"what":"fence"}"#;

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

/// An announcement of a unit of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The database's time shortly before the commit. `None` on PostgreSQL, where the statement adds it.
    pub(super) at: Option<Instant>,
    pub(super) text: String,
}

/// Messages to send once a unit of work has committed.
#[derive(Default)]
pub struct Outbox {
    coherence: Option<Coherence>,
    /// The wait for the other nodes' confirmations, from the first announcement on.
    pub(super) wait: Option<Wait>,
    /// The number that the transaction has raised with its first announcement. `None` on PostgreSQL.
    pub(super) number: Option<u64>,
    /// Announcements, sent with the commit.
    pub(super) announced: Vec<Announced>,
    /// Mentions, sent some time after the commit.
    pub(super) mentioned: Vec<String>,
}

impl Outbox {
    pub(super) fn new(coherence: &Coherence) -> Self {
        Self { coherence: Some(coherence.clone()), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.announced.is_empty() && self.mentioned.is_empty()
    }

    /// Adds an announcement, which other nodes have to confirm.
    pub(super) fn announce(&mut self, announced: Announced) {
        if let Some(coherence) = &self.coherence {
            self.wait.get_or_insert_with(|| coherence.begin());
        }
        self.announced.push(announced);
    }

    /// The announcements, in order. Only the last has a tag, so a node that confirms has heard all of them.
    pub(super) fn tagged(&self) -> impl Iterator<Item = (Option<Tag>, &Announced)> {
        let last = self.announced.len().saturating_sub(1);
        let tag = move |at: usize| self.wait.as_ref().filter(|_| at == last).map(Wait::tag);
        self.announced.iter().enumerate().map(move |(at, announced)| (tag(at), announced))
    }

    /// Whether the unit has announced this text already.
    pub(super) fn has_announced(&self, text: &str) -> bool {
        self.announced.iter().any(|announced| announced.text == text)
    }
}

/// A line that a process sends to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// An announcement or a mention: the time in microseconds or `-`, then `@` and a tag if its sender waits for
    /// confirmations, then the text. Versions that do not know tags read the text without a time.
    Said { at: Option<Instant>, tag: Option<Tag>, text: String },
    /// Ends the announcements of a transaction on an SQLite file: `announced <number>`, or `fence <number>` if the sender
    /// needs to know that the earlier ones have been heard too. Versions that do not know numbers read an unknown
    /// mention, and look up the sessions of open pages.
    Announced { number: u64, is_fence: bool },
    /// A process sends itself a beat: `beat <number>`.
    Beat(u64),
    /// A node confirms an announcement of the receiver: `confirm <number> <node>`.
    Confirm(u64, String),
}

impl Line {
    /// Parses a line. A line without a space is taken as the text of a mention.
    pub(super) fn parse(line: &str) -> Self {
        let (stamp, text) = line.split_once(' ').unwrap_or(("", line));
        match (stamp, text.split_once(' ')) {
            ("announced" | "fence", None) => {
                Self::Announced { number: text.parse().unwrap_or(0), is_fence: stamp == "fence" }
            }
            ("beat", None) => Self::Beat(text.parse().unwrap_or(0)),
            ("confirm", Some((number, node))) => Self::Confirm(number.parse().unwrap_or(0), node.to_owned()),
            _ => {
                let (at, tag) = stamp.split_once('@').unwrap_or((stamp, ""));
                let at = at.parse().ok().map(Instant::from_micros);
                Self::Said { at, tag: Tag::parse(tag), text: text.to_owned() }
            }
        }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Said { at, tag, text } => {
                match at {
                    Some(at) => write!(f, "{}", at.micros())?,
                    None => f.write_str("-")?,
                }
                if let Some(tag) = tag {
                    write!(f, "@{tag}")?;
                }
                write!(f, " {text}")
            }
            Self::Announced { number, is_fence: false } => write!(f, "announced {number}"),
            Self::Announced { number, is_fence: true } => write!(f, "fence {number}"),
            Self::Beat(number) => write!(f, "beat {number}"),
            Self::Confirm(number, node) => write!(f, "confirm {number} {node}"),
        }
    }
}

/// Applies a line to this node's coherence, and passes what was said to the listener.
pub(super) fn receive(line: &str, coherence: &Coherence, tell: &Tell) {
    match Line::parse(line) {
        Line::Beat(number) => coherence.hear_beat(number),
        Line::Announced { number, is_fence: true } => coherence.hear_fence(number),
        Line::Announced { number, is_fence: false } => coherence.hear_number(number),
        Line::Confirm(number, node) => coherence.hear_confirmation(number, &node),
        Line::Said { at, tag, text } => {
            // A mention is not about anything cached.
            if at.is_some() || tag.is_some() {
                coherence.hear(tag, &text);
            }
            tell(Heard::Said { at, text });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_survives_formatting_and_parsing() {
        let at = Instant::from_micros(1_795_460_400_123_456);
        let tag = Tag { node: "a-B_1".into(), number: 7 };
        let lines = [
            Line::Said { at: Some(at), tag: None, text: "a b".into() },
            Line::Said { at: Some(at), tag: Some(tag), text: "{\"a\": 1}".into() },
            Line::Said { at: None, tag: None, text: "beat 7".into() },
            Line::Beat(7),
            Line::Announced { number: 7, is_fence: false },
            Line::Announced { number: 7, is_fence: true },
            Line::Confirm(7, "a-B_1".into()),
        ];
        for line in lines {
            assert_eq!(Line::parse(&line.to_string()), line);
        }
        assert_eq!(Line::parse("odd"), Line::Said { at: None, tag: None, text: "odd".into() });
    }

    #[test]
    fn only_the_last_announcement_of_a_transaction_is_confirmed() {
        let coherence = Coherence::new(true, crate::base::metrics::Metrics::default()).unwrap();
        let mut outbox = Outbox::new(&coherence);
        for text in ["a", "b", "c"] {
            outbox.announce(Announced { at: None, text: text.into() });
        }
        let tagged: Vec<_> = outbox.tagged().map(|(tag, announced)| (tag.is_some(), announced.text.as_str())).collect();
        assert_eq!(tagged, [(false, "a"), (false, "b"), (true, "c")]);
    }
}
