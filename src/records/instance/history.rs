//! The history that this instance shares with its clients: a random id. It changes whenever the database may have lost
//! changes that clients have seen, such as after a restored backup or a failover. Used by drafts and their sync, at
//! start, by `restored` and by `doctor`.
//!
//! Invariant: versions and revisions of different histories are never confused.

use diesel::{ExpressionMethods as _, QueryDsl as _, Queryable, Selectable, SelectableHelper as _};

use super::lock;
use crate::{
    base::{
        db::{Conn, Db, Instant, Marks, Place, Present, now, run, schema::instance},
        error::Result,
        secret,
    },
    records::draft::SPAN,
};

/// The history as the current transaction sees it.
#[derive(Debug, Clone)]
pub struct History {
    pub id: String,
    /// All versions of this history are greater than this.
    pub version_floor: i64,
    /// The database's time.
    pub now: Instant,
    /// Whether PostgreSQL was promoted since the history began, which may have lost commits.
    pub is_over: bool,
}

/// Reads the current history.
pub async fn present(conn: &mut Conn<'_>) -> Result<History> {
    type Row = (Instant, Option<String>, i64, Option<String>, Option<String>);
    let (now, id, version_floor, began_on, timeline): Row = run!(conn, get_result(Present))?;
    let is_over = began_on.is_some() && timeline.is_some() && began_on != timeline;
    Ok(History { id: id.unwrap_or_default(), version_floor, now, is_over })
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = instance)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
struct Row {
    history: Option<String>,
    version_floor: i64,
    place: Option<String>,
    timeline: Option<String>,
    unconfirmed_at: Option<Instant>,
}

impl Row {
    async fn read(conn: &mut Conn<'_>) -> Result<Self> {
        run!(conn, first(instance::table.select(Self::as_select())))
    }

    fn place(&self) -> Place {
        Place { identity: self.place.clone(), timeline: self.timeline.clone(), marks: Vec::new() }
    }
}

/// Called at start. Begins the first history, or a new one if the database was restored, moved or failed over.
pub async fn check(db: &Db, place: Place, marks: Option<Marks>) -> Result<()> {
    db.write(async move |conn: &mut Conn<'_>| {
        lock(conn).await?;
        // Read again under the lock: another server may have marked the database meanwhile.
        let place = Place { marks: marks.as_ref().map(Marks::read).unwrap_or_default(), ..place.clone() };
        let row = Row::read(conn).await?;
        if row.history.is_some() && row.place().differs_from(&place) {
            tracing::error!(
                "the database was restored, moved or failed over, so clients sync from scratch: stop the server and \
                 run `sessile restored`, or `sessile restored --nothing-lost`"
            );
            return renew(conn, &row, &place, false).await;
        }
        if row.history.is_none() {
            return renew(conn, &row, &place, true).await;
        }
        // In SQLite, the stored timeline is the last mark, which `mark` renews.
        let is_recorded = row.place == place.identity && (marks.is_some() || row.timeline == place.timeline);
        if is_recorded { Ok(()) } else { set_place(conn, &place).await }
    })
    .await
}

/// Writes a new mark to the database and to the file next to it, so that an older backup copied over the database is
/// noticed. Called at start after [`check`], and at shutdown. Does nothing if the database is already known to be an
/// older copy.
pub async fn mark(db: &Db, marks: &Marks) -> Result<()> {
    // The file keeps the last two marks. Writing two new marks makes sure that no earlier backup contains either of
    // them.
    for _ in 0..2 {
        let marks = marks.clone();
        let marked = async move |conn: &mut Conn<'_>| {
            lock(conn).await?;
            let row = Row::read(conn).await?;
            let known = marks.read();
            if row.timeline.as_ref().is_some_and(|mark| !known.is_empty() && !known.contains(mark)) {
                return Ok(());
            }
            let next = secret::random_name("")?;
            // Write the file before the commit. If the commit fails, the database still has the older mark of the file.
            let last = row.timeline.as_deref().unwrap_or_default();
            if let Err(error) = marks.write(&[last, &next]) {
                tracing::warn!(%error, "writing the file next to the database that detects a restored backup failed");
                return Ok(());
            }
            run!(conn, execute(diesel::update(instance::table).set(instance::timeline.eq(Some(next))))).map(drop)
        };
        db.write(marked).await?;
    }
    Ok(())
}

/// Begins a new history because `seen` may have lost changes. Does nothing if another request has begun one already.
pub async fn begin_anew(db: &Db, seen: &str) -> Result<()> {
    let seen = seen.to_owned();
    db.write(async move |conn: &mut Conn<'_>| {
        lock(conn).await?;
        let row = Row::read(conn).await?;
        if row.history.as_deref().unwrap_or_default() != seen {
            return Ok(());
        }
        tracing::error!(
            "the database lost changes that clients have seen, or failed over, so clients sync from scratch: run \
             `sessile restored`, or `sessile restored --nothing-lost`"
        );
        type Timelines = (Instant, Option<String>, i64, Option<String>, Option<String>);
        let (_, _, _, _, timeline): Timelines = run!(conn, get_result(Present))?;
        let place = Place { identity: row.place.clone(), timeline, marks: Vec::new() };
        renew(conn, &row, &place, false).await
    })
    .await
}

/// Records the operator's confirmation. Begins a new history, or keeps the current one if nothing was lost.
pub async fn confirm(db: &Db, place: Place, nothing_lost: bool) -> Result<()> {
    db.write(async move |conn: &mut Conn<'_>| {
        lock(conn).await?;
        let row = Row::read(conn).await?;
        if !nothing_lost {
            return renew(conn, &row, &place, true).await;
        }
        set_place(conn, &place).await?;
        let set = instance::unconfirmed_at.eq(None::<Instant>);
        run!(conn, execute(diesel::update(instance::table).set(set))).map(drop)
    })
    .await
}

/// The state of the history, for `doctor`.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// No history yet: the first start begins it.
    NotBegun,
    /// The database was not moved since the last start.
    GoesOn,
    /// The database was restored, moved or failed over since the last start.
    Moved,
    /// The server began a new history at this time, and the operator has not confirmed it.
    Unconfirmed(Instant),
}

/// Compares the place of the database with the stored place. Changes nothing.
pub async fn look(conn: &mut Conn<'_>, place: &Place) -> Result<Finding> {
    let row = Row::read(conn).await?;
    Ok(match row.unconfirmed_at {
        _ if row.history.is_none() => Finding::NotBegun,
        _ if row.place().differs_from(place) => Finding::Moved,
        Some(since) => Finding::Unconfirmed(since),
        None => Finding::GoesOn,
    })
}

async fn renew(conn: &mut Conn<'_>, row: &Row, place: &Place, is_confirmed: bool) -> Result<()> {
    let now: Instant = run!(conn, get_result(diesel::select(now())))?;
    // The first history starts with version 1.
    let floor = if row.history.is_some() { next_floor(row.version_floor, now)? } else { 0 };
    let unconfirmed_at = if is_confirmed { None } else { Some(row.unconfirmed_at.unwrap_or(now)) };
    let set = (
        instance::history.eq(Some(secret::random_name("")?)),
        instance::version_floor.eq(floor),
        instance::unconfirmed_at.eq(unconfirmed_at),
    );
    run!(conn, execute(diesel::update(instance::table).set(set)))?;
    set_place(conn, place).await
}

/// The version floor of a new history. It depends on the time and a random number, so that two histories that begin
/// from the same backup do not share versions. It stays below 2^53, so that JavaScript represents versions exactly.
fn next_floor(last: i64, now: Instant) -> Result<i64> {
    let [a, b, c, d] = secret::random_bytes::<4>()?;
    let random = i64::from(u32::from_be_bytes([a, b, c, d])) % SPAN;
    Ok((now.micros() / 1_000_000 * SPAN).max(last + 2 * SPAN) + random)
}

async fn set_place(conn: &mut Conn<'_>, place: &Place) -> Result<()> {
    let set = (instance::place.eq(&place.identity), instance::timeline.eq(&place.timeline));
    run!(conn, execute(diesel::update(instance::table).set(set))).map(drop)
}
