//! What one process tells the others of a change that it has committed: short texts whose meaning the records know.
//! PostgreSQL carries them by NOTIFY (15, section 55: LISTEN and NOTIFY); beside an SQLite file they go through sockets,
//! see [`beside`](crate::base::db::sqlite_sockets).
//!
//! Invariant: what is announced is told if and only if its transaction commits.

use std::sync::Arc;

use super::{Conn, EngineConn, Instant, now, postgres, run};
use crate::base::error::{Error, Result};

/// The longest text that can be announced, in bytes: a little less than what NOTIFY takes with its stamp.
pub const LONGEST_TEXT: usize = 7_000;
/// Texts that one transaction mentions at most; what is more is left out.
const MOST_MENTIONS: usize = 64;

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
pub(super) struct Deaf(pub(super) Tell);

impl Drop for Deaf {
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

/// Tells every listener of this text when the transaction commits. To be the last statement of a transaction: commits
/// that announce something queue behind one another.
///
/// # Errors
/// When the database is away, or the text is longer than [`LONGEST_TEXT`].
pub async fn announce(conn: &mut Conn<'_>, text: &str) -> Result<()> {
    if text.len() > LONGEST_TEXT {
        return Err(Error::bug("a text that is too long to be announced"));
    }
    match &mut conn.engine {
        EngineConn::Postgres(conn, deadline) => postgres::listen::notify(conn, *deadline, text).await,
        EngineConn::Sqlite(_) => {
            let at: Instant = run!(conn, get_result(diesel::select(now())))?;
            conn.outbox.announced.push((at, text.to_owned()));
            Ok(())
        }
    }
}

/// Tells every listener of this text soon after the commit, without making the commit wait for others. Best effort: a
/// process that ends right then, or that does not listen itself, may never tell it.
pub fn mention(conn: &mut Conn<'_>, text: String) {
    let mentioned = &mut conn.outbox.mentioned;
    if mentioned.len() < MOST_MENTIONS && !mentioned.contains(&text) {
        mentioned.push(text);
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
