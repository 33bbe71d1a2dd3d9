//! Ends all sessions at once. Each session belongs to the generation in which it began, and `live` lets it
//! live only while that is the current one. So one statement ends any number of sessions. Their rows are ended
//! afterwards, in small batches. Called by the actions of operators, the background work of `serve`, `prune`, and by
//! every look-up that meets an outdated session.
//!
//! Generations are numbers and not times, so neither a clock nor the order of commits matters. A session keeps its
//! generation for life: rotations and touches do not change it. A transaction that begins a session reads the generation
//! first. If all sessions end before it commits, its session is outdated from the start.
//!
//! Locks, in this order: the generation's row (only to begin a generation); sessions, by account and id.
//!
//! Invariant: no statement sets a session's generation after the session began, and the current number only grows.

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _};

use super::{
    ended::EndReason,
    ends::{self, Deed, JustEnded},
    live::{is_live_in, is_outdated},
    record::SessionRef,
};
use crate::{
    base::{
        db::{
            Conn, Counted, Db, ForUpdate, now, run,
            schema::{session_generation, sessions},
        },
        error::Result,
    },
    records::{
        audit::{self, Event, Kind, OPERATOR},
        news,
    },
};

/// The largest number of ended sessions that is counted. Counting more would take too long in the transaction.
pub const MOST_COUNTED: i64 = 100_000;
/// Maximum number of rows that one transaction of the background work ends.
const BATCH: i64 = 100;
/// Maximum number of rows that one transaction of a command ends.
const BATCH_OF_COMMAND: i64 = 2_000;

/// The current generation. A transaction that begins a session reads it before it checks anything else.
pub async fn current(conn: &mut Conn<'_>) -> Result<i64> {
    run!(conn, first(session_generation::table.select(session_generation::number)))
}

/// Ends all sessions on behalf of the operator, and records that in one event. Returns how many lived; more than
/// [`MOST_COUNTED`] are not counted further. After the commit, no node answers from memory with any of them.
pub async fn begin_next(conn: &mut Conn<'_>) -> Result<i64> {
    let next = session_generation::number.eq(session_generation::number + 1);
    let next = diesel::update(session_generation::table).set(next).returning(session_generation::number);
    let generation: i64 = run!(conn, get_result(next))?;
    let lived = sessions::table.filter(is_live_in(generation - 1)).limit(MOST_COUNTED + 1).select(sessions::id);
    let count: i64 = run!(conn, get_result(Counted::of(lived)))?;
    let event = Event::of_nobody(Kind::AllSessionsRevoked).by(OPERATOR).detail(&format!("generation {generation}"));
    audit::record(conn, &[event]).await?;
    news::many(conn).await?;
    Ok(count)
}

/// Ends the rows of outdated sessions, in batches, until there are none, or `go_on` returns `false`. It is called with the
/// number of rows after each batch. Returns how many rows it ended. Any number of nodes may do this at once.
///
/// # Errors
/// When a batch fails. Earlier batches stay committed.
pub async fn end_outdated(db: &Db, mut go_on: impl AsyncFnMut(usize) -> bool) -> Result<usize> {
    let mut all = 0;
    loop {
        let ended = db.write(end_some).await?;
        db.metrics().swept("ended", ended);
        all += ended;
        if ended == 0 || !go_on(ended).await {
            return Ok(all);
        }
    }
}

async fn end_some(conn: &mut Conn<'_>) -> Result<usize> {
    let outdated = sessions::table.filter(is_outdated()).order(sessions::generation);
    let outdated = outdated.limit(BATCH).select((sessions::account_id, sessions::id));
    let found: Vec<SessionRef> = ForUpdate::load_across(conn, outdated).await?;
    end_these(conn, &found).await
}

/// Ends the rows of at most 2,000 outdated sessions, after other transactions that end the same rows. Returns how many
/// outdated sessions it found.
pub async fn end_first(conn: &mut Conn<'_>) -> Result<usize> {
    let outdated = sessions::table.filter(is_outdated()).order(sessions::generation);
    let outdated = outdated.limit(BATCH_OF_COMMAND).select((sessions::account_id, sessions::id));
    let found: Vec<SessionRef> = run!(conn, load(outdated))?;
    if found.is_empty() {
        return Ok(0);
    }
    // Lock all rows in one order before changing any of them, so that this cannot deadlock with touches.
    let in_order = sessions::table.filter(SessionRef::one_of(&found)).order((sessions::account_id, sessions::id));
    let in_order = ForUpdate::wait_across(conn, in_order.select(sessions::id)).await?;
    let _: Vec<String> = run!(conn, load(in_order))?;
    for some in found.chunks(500) {
        end_these(conn, some).await?;
    }
    Ok(found.len())
}

/// Ends the rows of those of the given sessions that are outdated. Returns how many.
pub async fn end_these(conn: &mut Conn<'_>, found: &[SessionRef]) -> Result<usize> {
    if found.is_empty() {
        return Ok(0);
    }
    let deed = Deed { reason: EndReason::Revoked, by: OPERATOR, ip: None, here: None };
    let cause = (
        sessions::ended_at.eq(now().nullable()),
        sessions::ended_reason.eq(Some(deed.reason)),
        sessions::ended_by.eq(Some(deed.by)),
    );
    let outdated = sessions::table.filter(SessionRef::one_of(found)).filter(is_outdated());
    let columns = (sessions::account_id, sessions::id, sessions::device_id);
    let ended: Vec<JustEnded> = run!(conn, get_results(diesel::update(outdated).set(cause).returning(columns)))?;
    if !ended.is_empty() {
        ends::record_events(conn, &ended, &deed).await?;
        // No node's cache has them any more. Only the streams to apps must read the rows.
        news::rows_ended(conn)?;
    }
    Ok(ended.len())
}
