//! Tells other processes about committed changes, in short texts that only the records interpret. PostgreSQL sends them
//! by NOTIFY (15, section 55: LISTEN and NOTIFY). On an SQLite file they go through sockets, see
//! [`sqlite_sockets`](super::sqlite_sockets).
//!
//! Invariant: an announcement is sent if and only if its transaction commits.

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

/// Maximum number of mentions per transaction; further ones are dropped.
const MOST_MENTIONS: usize = 64;

/// Sends `text` to every listener when the transaction commits. Make this the last statement of the transaction,
/// because commits with announcements wait for one another.
///
/// # Errors
/// A bug: the text is longer than [`LONGEST_TEXT`].
pub async fn announce(conn: &mut Conn<'_>, text: &str) -> Result<()> {
    if text.len() > LONGEST_TEXT {
        return Err(Error::bug("the text is too long to be announced"));
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

/// Sends `text` to every listener soon after the commit, without delaying the commit. Best effort: the mention is lost
/// if the process ends right then, and may be lost if the process does not listen itself.
pub fn mention(conn: &mut Conn<'_>, text: String) {
    let mentioned = &mut conn.outbox.mentioned;
    if mentioned.len() < MOST_MENTIONS && !mentioned.contains(&text) {
        mentioned.push(text);
    }
}
