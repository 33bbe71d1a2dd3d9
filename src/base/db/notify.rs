//! Tells other processes about committed changes, in short texts that only the records interpret. PostgreSQL sends them
//! by NOTIFY (15, section 55: LISTEN and NOTIFY). On an SQLite file they go through sockets, see
//! [`sqlite_sockets`](super::sqlite_sockets).
//!
//! Invariant: an announcement is sent if and only if its transaction commits.

use super::{
    conn::{Conn, EngineConn},
    express::now,
    message::{Announced, LONGEST_TEXT},
    postgres,
    query::run,
};
use crate::base::{
    error::{Error, Result},
    instant::Instant,
};

/// Maximum number of mentions per transaction; further ones are dropped.
const MOST_MENTIONS: usize = 64;

/// Sends `text` to every listener when the transaction commits, once per transaction. The unit of work returns only when
/// no node can answer from memory with what was there before the change; see [`coherence`](crate::base::coherence).
///
/// # Errors
/// A bug: the text is longer than [`LONGEST_TEXT`].
pub async fn announce(conn: &mut Conn<'_>, text: &str) -> Result<()> {
    if text.len() > LONGEST_TEXT {
        return Err(Error::bug("the text is too long to be announced"));
    }
    if conn.outbox.has_announced(text) {
        return Ok(());
    }
    let tag = conn.outbox.tag();
    let at: Option<Instant> = match &mut conn.engine {
        EngineConn::Postgres(conn, deadline) => {
            postgres::listen::notify(conn, *deadline, tag.as_ref(), text).await?;
            None
        }
        EngineConn::Sqlite(_) => Some(run!(conn, get_result(diesel::select(now())))?),
    };
    conn.outbox.announced.push(Announced { at, text: text.to_owned() });
    Ok(())
}

/// Sends `text` to every listener soon after the commit, without delaying the commit. Best effort: the mention is lost
/// if the process ends right then, and may be lost if the process does not listen itself.
pub fn mention(conn: &mut Conn<'_>, text: String) {
    let mentioned = &mut conn.outbox.mentioned;
    if mentioned.len() < MOST_MENTIONS && !mentioned.contains(&text) {
        mentioned.push(text);
    }
}
