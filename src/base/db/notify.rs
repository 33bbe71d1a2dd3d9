//! Tells other processes about committed changes, in short texts that only the records interpret. PostgreSQL sends them
//! by NOTIFY (15, section 55: LISTEN and NOTIFY). On an SQLite file they go through sockets, see
//! [`sqlite_sockets`](super::sqlite_sockets).
//!
//! Invariant: an announcement is sent if and only if its transaction commits.

use diesel::{ExpressionMethods as _, QueryDsl as _};

use super::{
    conn::{Conn, EngineConn},
    express::now,
    message::{Announced, LONGEST_TEXT},
    postgres,
    query::run,
    schema::announcements,
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
    let at: Option<Instant> = match &mut conn.engine {
        EngineConn::Postgres(..) => None,
        EngineConn::Sqlite(_) => {
            if conn.outbox.number.is_none() {
                conn.outbox.number = Some(raise_number(conn).await?);
            }
            Some(run!(conn, get_result(diesel::select(now())))?)
        }
    };
    conn.outbox.announce(Announced { at, text: text.to_owned() });
    Ok(())
}

/// The number of this transaction's announcements; see [`Announcements`](crate::base::coherence::Announcements).
async fn raise_number(conn: &mut Conn<'_>) -> Result<u64> {
    let raised = diesel::insert_into(announcements::table)
        .values((announcements::id.eq(1), announcements::number.eq(1)))
        .on_conflict(announcements::id)
        .do_update()
        .set(announcements::number.eq(announcements::number + 1));
    run!(conn, execute(raised))?;
    let number: i64 = run!(conn, get_result(announcements::table.find(1).select(announcements::number)))?;
    u64::try_from(number).map_err(Error::bug)
}

/// Sends the announcements of a transaction that is about to commit on PostgreSQL. On SQLite they are sent after the
/// commit.
pub(super) async fn send_announced(conn: &mut Conn<'_>) -> Result<()> {
    let EngineConn::Postgres(engine, deadline) = &mut conn.engine else { return Ok(()) };
    for (tag, announced) in conn.outbox.tagged() {
        postgres::listen::notify(engine, *deadline, tag.as_ref(), &announced.text).await?;
    }
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
