//! The counts in the database, sole owner of the `throttle_…` tables. Called by `account::proof` and `account::choice`
//! around each password that is hashed, and by the sweep.
//!
//! Invariant: a subject's row is locked while it is decided whether a further try may begin.

use std::time::Duration;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, dsl::count_star,
};

use super::{Count, LONGEST_WAIT, Subject, Success};
use crate::base::{
    db::{
        Conn, Db, ForUpdate, Instant, before_now, find, from_now, now, run,
        schema::{throttle_counts as counts, throttle_tries as tries},
    },
    error::Result,
    secret,
};

/// A try of which nothing was heard for this long died with its node, and counts no more.
const LONGEST_TRY: Duration = Duration::from_secs(60);
/// When counts are forgotten for good: after the longest memory of a limit.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// Counts a transaction deletes at most.
const BATCH: i64 = 500;

/// A try that has begun.
#[derive(Debug, Clone)]
pub struct Try {
    id: String,
    subjects: Vec<Subject>,
}

/// Whether a try may begin.
#[derive(Debug)]
pub enum Begun {
    /// It has.
    Yes(Try),
    /// Not before this time has passed.
    No {
        /// How long to wait.
        wait: Duration,
        /// Whether it is the first that is told so since the last failure.
        is_news: bool,
        /// Whether only tries that are under way stand against it: it may come once they have worked.
        is_busy: bool,
    },
}

type CountRow = (i64, i64, Option<Instant>, Instant);

/// How long the next try for these subjects has to wait, if that was told before. Locks nothing and writes nothing: for
/// turning away a flood.
pub async fn known_wait(conn: &mut Conn<'_>, subjects: &[Subject]) -> Result<Option<Duration>> {
    let mut longest = None;
    for subject in subjects {
        let row: Option<CountRow> = find!(
            conn,
            first(counts::table.find(&subject.hash).select((
                counts::failures,
                counts::told,
                counts::last_failed_at,
                now()
            )))
        )?;
        if let Some(row @ (failures, told, last_failed_at, at)) = row
            && told == failures
            && last_failed_at <= Some(at)
        {
            longest = longest.max(count(row, 0).wait(subject.limit, at));
        }
    }
    Ok(longest)
}

/// Begins a try for all of these subjects, or for none.
pub async fn begin(conn: &mut Conn<'_>, subjects: &[Subject]) -> Result<Begun> {
    // All nodes lock in one order.
    let mut subjects = subjects.to_vec();
    subjects.sort();
    let (mut longest, mut is_news, mut is_busy) = (None, false, true);
    for subject in &subjects {
        let row @ (failures, told, last_failed_at, at) = lock(conn, subject).await?;
        if last_failed_at > Some(at) {
            // Counted when the clock was ahead: the wait begins now, instead of when that time is reached.
            let now = counts::last_failed_at.eq(Some(at));
            run!(conn, execute(diesel::update(counts::table.find(&subject.hash)).set(now)))?;
        }
        let count = count(row, under_way(conn, subject).await?);
        if failures > 0 && count.remembered(subject.limit, at) == 0 {
            clear(conn, subject).await?;
        }
        if let Some(wait) = count.wait(subject.limit, at) {
            longest = longest.max(Some(wait));
            let even_alone = Count { under_way: 0, ..count }.wait(subject.limit, at).is_some();
            is_busy &= !even_alone;
            if even_alone && told < failures {
                tell(conn, subject, failures).await?;
                is_news = true;
            }
        }
    }
    if let Some(wait) = longest {
        return Ok(Begun::No { wait, is_news, is_busy });
    }
    let id = secret::random_name("try_")?;
    let rows: Vec<_> = subjects
        .iter()
        .map(|subject| (tries::subject.eq(&subject.hash), tries::try_id.eq(&id), tries::began_at.eq(now())))
        .collect();
    run!(conn, execute(diesel::insert_into(tries::table).values(rows)))?;
    Ok(Begun::Yes(Try { id, subjects }))
}

/// It worked, such as a right password: the try is given back, and whatever else a success means to each subject.
pub async fn give_back(conn: &mut Conn<'_>, one: &Try) -> Result<()> {
    withdraw(conn, one).await?;
    for subject in &one.subjects {
        match subject.success {
            Success::Clears => clear(conn, subject).await?,
            Success::Nothing => {}
            Success::Counts => add(conn, subject).await?,
        }
    }
    Ok(())
}

/// It failed, such as a wrong password: the try counts.
pub async fn keep(conn: &mut Conn<'_>, one: &Try) -> Result<()> {
    withdraw(conn, one).await?;
    for subject in &one.subjects {
        add(conn, subject).await?;
    }
    Ok(())
}

/// The try came to nothing: it does not count, and changes no count.
pub async fn withdraw(conn: &mut Conn<'_>, one: &Try) -> Result<()> {
    run!(conn, execute(diesel::delete(tries::table.filter(tries::try_id.eq(&one.id))))).map(drop)
}

/// Forgets what was counted for a subject.
pub async fn clear(conn: &mut Conn<'_>, subject: &Subject) -> Result<()> {
    // A count of nothing needs no write.
    let failed = counts::table.find(&subject.hash).filter(counts::failures.gt(0));
    run!(conn, execute(diesel::update(failed).set((counts::failures.eq(0), counts::told.eq(0))))).map(drop)
}

async fn add(conn: &mut Conn<'_>, subject: &Subject) -> Result<()> {
    let counted = (
        counts::failures.eq(counts::failures + 1),
        counts::last_failed_at.eq(now().nullable()),
        counts::changed_at.eq(now()),
    );
    run!(conn, execute(diesel::update(counts::table.find(&subject.hash)).set(counted))).map(drop)
}

/// Deletes what is forgotten, in batches, counts of addresses when addresses are. It waits for no row: who locks
/// several keeps an order, which a deletion would not.
pub async fn sweep(db: &Db, address_ttl: Duration) -> Result<()> {
    let of_addresses = FORGOTTEN.min(address_ttl);
    while db.write(async move |conn: &mut Conn<'_>| delete_forgotten(conn, of_addresses).await).await? > 0 {}
    let dead = async |conn: &mut Conn<'_>| {
        run!(conn, execute(diesel::delete(tries::table.filter(tries::began_at.le(before_now(LONGEST_WAIT))))))
    };
    db.statement(dead).await.map(drop)
}

async fn delete_forgotten(conn: &mut Conn<'_>, of_addresses: Duration) -> Result<usize> {
    let old = counts::table
        .filter(counts::changed_at.le(before_now(of_addresses)))
        .filter(counts::of_address.or(counts::changed_at.le(before_now(FORGOTTEN))));
    let subjects: Vec<Vec<u8>> =
        run!(conn, load(ForUpdate::skip_locked(old.order(counts::changed_at).limit(BATCH).select(counts::subject))))?;
    if subjects.is_empty() {
        return Ok(0);
    }
    run!(conn, execute(diesel::delete(counts::table.filter(counts::subject.eq_any(&subjects)))))
}

/// Locks a subject's row, made if it is not there: an update that changes nothing but when it was used.
async fn lock(conn: &mut Conn<'_>, subject: &Subject) -> Result<CountRow> {
    run!(
        conn,
        get_result(
            diesel::insert_into(counts::table)
                .values((
                    counts::subject.eq(&subject.hash),
                    counts::failures.eq(0),
                    counts::told.eq(0),
                    counts::changed_at.eq(now()),
                    counts::of_address.eq(subject.of_address)
                ))
                .on_conflict(counts::subject)
                .do_update()
                .set(counts::changed_at.eq(now()))
                .returning((counts::failures, counts::told, counts::last_failed_at, counts::changed_at))
        )
    )
}

async fn under_way(conn: &mut Conn<'_>, subject: &Subject) -> Result<i64> {
    let (from, to) = (before_now(LONGEST_TRY), from_now(LONGEST_TRY));
    let living = tries::subject.eq(&subject.hash).and(tries::began_at.gt(from)).and(tries::began_at.le(to));
    run!(conn, get_result(tries::table.filter(living).select(count_star())))
}

async fn tell(conn: &mut Conn<'_>, subject: &Subject, failures: i64) -> Result<()> {
    run!(conn, execute(diesel::update(counts::table.find(&subject.hash)).set(counts::told.eq(failures)))).map(drop)
}

fn count((failures, _, last_failed_at, _): CountRow, under_way: i64) -> Count {
    let small = |many: i64| u32::try_from(many).unwrap_or(if many < 0 { 0 } else { u32::MAX });
    Count { failures: small(failures), last_failed_at, under_way: small(under_way) }
}
