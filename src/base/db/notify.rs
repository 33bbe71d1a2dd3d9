//! What one process tells the others of a change that it has committed: short texts whose meaning the records know.
//! PostgreSQL carries them by NOTIFY (15, section 55: LISTEN and NOTIFY); beside an SQLite file they go through sockets,
//! see [`sqlite_sockets`](super::sqlite_sockets).
//!
//! Invariant: what is announced is told if and only if its transaction commits.

use super::{
    conn::{Conn, EngineConn},
    express::now,
    message::LONGEST_TEXT,
    postgres,
    query::run,
};
use crate::base::{
    error::{Error, Result},
    instant::Instant,
};

/// Texts that one transaction mentions at most; what is more is left out.
const MOST_MENTIONS: usize = 64;

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
