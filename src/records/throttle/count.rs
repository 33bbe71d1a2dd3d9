//! The counts in the database. Only this module uses the `throttle_…` tables. Called by
//! [`password_proof`](crate::actions::password_proof) and [`new_password`](crate::actions::new_password) before and
//! after each password hash, and by the sweep.
//!
//! Invariant: a subject's row is locked while [`begin`] decides whether another try may begin.

use std::time::Duration;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, dsl::count_star,
    upsert::excluded,
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

/// A try without an outcome after this time was lost in a crash of its node. It no longer counts.
const LONGEST_TRY: Duration = Duration::from_secs(60);
/// Age at which the sweep deletes a count: the longest memory of any limit.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// Maximum counts that a transaction deletes.
const BATCH: i64 = 500;

/// A try that has begun and has no outcome yet.
#[derive(Debug, Clone)]
pub struct Try {
    id: String,
    subjects: Vec<Subject>,
}

/// Whether a try may begin.
#[derive(Debug)]
pub enum Begun {
    /// The try has begun.
    Yes(Try),
    /// The try is refused.
    No {
        /// Time until a try may begin.
        wait: Duration,
        /// Whether this is the first refusal since the last failure. The caller audits only the first.
        is_news: bool,
        /// Whether only tries under way cause the refusal. If they succeed, this try may begin.
        is_busy: bool,
    },
}

type CountRow = (i64, i64, Option<Instant>, Instant);

/// The wait for these subjects, if [`begin`] has refused a try since the last failure. Locks and writes nothing, so
/// that a flood is refused cheaply.
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

/// Begins a try that counts for all these subjects, unless one of them has to wait.
pub async fn begin(conn: &mut Conn<'_>, subjects: &[Subject]) -> Result<Begun> {
    // All nodes lock subjects in the same order, so that they do not deadlock.
    let mut subjects = subjects.to_vec();
    subjects.sort();
    let (mut longest, mut news, mut is_busy) = (None, Vec::new(), true);
    for subject in &subjects {
        let row @ (failures, told, last_failed_at, at) = lock(conn, subject).await?;
        if last_failed_at > Some(at) {
            // The failure was counted while the clock was ahead. Start the wait now, not at that future time.
            let now = counts::last_failed_at.eq(Some(at));
            run!(conn, execute(diesel::update(counts::table.find(&subject.hash)).set(now)))?;
        }
        let count = count(row, under_way(conn, subject).await?);
        if failures > 0 && count.remembered(subject.limit, at) == 0 {
            clear(conn, subject).await?;
        }
        if let Some(wait) = count.wait(subject.limit, at) {
            longest = longest.max(Some(wait));
            let must_wait_alone = Count { under_way: 0, ..count }.wait(subject.limit, at).is_some();
            is_busy &= !must_wait_alone;
            if must_wait_alone && told < failures {
                news.push((subject, failures));
            }
        }
    }
    if let Some(wait) = longest {
        let is_news = !news.is_empty();
        // Only now, so that the order of the statements does not depend on the order of the hashes.
        for (subject, failures) in news {
            mark_refused(conn, subject, failures).await?;
        }
        return Ok(Begun::No { wait, is_news, is_busy });
    }
    let id = secret::random_name("try_")?;
    let rows: Vec<_> = subjects
        .iter()
        .map(|subject| (tries::subject.eq(&subject.hash), tries::try_id.eq(&id), tries::began_at.eq(now())))
        .collect();
    for rows in rows.chunks(conn.at_once(rows.len())) {
        run!(conn, execute(diesel::insert_into(tries::table).values(rows)))?;
    }
    Ok(Begun::Yes(Try { id, subjects }))
}

/// Settles a successful try, such as one with the correct password. Each subject's `Success` decides about its count.
pub async fn give_back(conn: &mut Conn<'_>, attempt: &Try) -> Result<()> {
    withdraw(conn, attempt).await?;
    for subject in &attempt.subjects {
        match subject.success {
            Success::Clears => clear(conn, subject).await?,
            Success::Nothing => {}
            Success::Counts => add(conn, subject).await?,
        }
    }
    Ok(())
}

/// Settles a failed try, such as one with a wrong password. It counts for all its subjects.
pub async fn keep(conn: &mut Conn<'_>, attempt: &Try) -> Result<()> {
    withdraw(conn, attempt).await?;
    for subject in &attempt.subjects {
        add(conn, subject).await?;
    }
    Ok(())
}

/// Removes a try without an outcome. It changes no count.
pub async fn withdraw(conn: &mut Conn<'_>, attempt: &Try) -> Result<()> {
    if conn.is_distributed() {
        for subject in &attempt.subjects {
            let own = tries::table.find((&subject.hash, &attempt.id));
            run!(conn, execute(diesel::delete(own)))?;
        }
        return Ok(());
    }
    run!(conn, execute(diesel::delete(tries::table.filter(tries::try_id.eq(&attempt.id))))).map(drop)
}

/// Sets a subject's count to zero.
pub async fn clear(conn: &mut Conn<'_>, subject: &Subject) -> Result<()> {
    // Skip the write if the count is zero already.
    let failed = counts::table.find(&subject.hash).filter(counts::failures.gt(0));
    run!(conn, execute(diesel::update(failed).set((counts::failures.eq(0), counts::told.eq(0))))).map(drop)
}

/// Deletes the counts and the tries of these subjects, which exist no more.
pub async fn forget(conn: &mut Conn<'_>, subjects: &[Subject]) -> Result<()> {
    let hashes: Vec<&[u8]> = subjects.iter().map(|subject| subject.hash.as_slice()).collect();
    for hashes in hashes.chunks(conn.at_once(1000)) {
        run!(conn, execute(diesel::delete(counts::table.filter(counts::subject.eq_any(hashes)))))?;
        run!(conn, execute(diesel::delete(tries::table.filter(tries::subject.eq_any(hashes)))))?;
    }
    Ok(())
}

async fn add(conn: &mut Conn<'_>, subject: &Subject) -> Result<()> {
    let counted = (
        counts::failures.eq(counts::failures + 1),
        counts::last_failed_at.eq(now().nullable()),
        counts::changed_at.eq(now()),
    );
    run!(conn, execute(diesel::update(counts::table.find(&subject.hash)).set(counted))).map(drop)
}

/// Deletes old counts in batches. Counts of addresses go after `address_ttl`, if that is shorter. Skips locked rows:
/// other transactions lock several rows in a fixed order, which a deletion would not keep.
pub async fn sweep(db: &Db, address_ttl: Duration) -> Result<()> {
    let of_addresses = FORGOTTEN.min(address_ttl);
    while db.write(async move |conn: &mut Conn<'_>| delete_forgotten(conn, of_addresses).await).await? > 0 {}
    let delete_lost_tries = async |conn: &mut Conn<'_>| {
        run!(conn, execute(diesel::delete(tries::table.filter(tries::began_at.le(before_now(LONGEST_WAIT))))))
    };
    db.statement(delete_lost_tries).await.map(drop)
}

async fn delete_forgotten(conn: &mut Conn<'_>, of_addresses: Duration) -> Result<usize> {
    let is_old = || {
        let is_forgotten = counts::of_address.or(counts::changed_at.le(before_now(FORGOTTEN)));
        counts::changed_at.le(before_now(of_addresses)).and(is_forgotten)
    };
    let old = counts::table.filter(is_old()).order(counts::changed_at).limit(BATCH).select(counts::subject);
    let subjects: Vec<Vec<u8>> = ForUpdate::load_across(conn, old).await?;
    if subjects.is_empty() {
        return Ok(0);
    }
    run!(conn, execute(diesel::delete(counts::table.filter(counts::subject.eq_any(&subjects)).filter(is_old()))))
}

/// Locks a subject's row and sets its time of use. Creates the row if it is missing.
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
                .set(counts::changed_at.eq(excluded(counts::changed_at)))
                .returning((counts::failures, counts::told, counts::last_failed_at, counts::changed_at))
        )
    )
}

async fn under_way(conn: &mut Conn<'_>, subject: &Subject) -> Result<i64> {
    let (from, to) = (before_now(LONGEST_TRY), from_now(LONGEST_TRY));
    let living = tries::subject.eq(&subject.hash).and(tries::began_at.gt(from)).and(tries::began_at.le(to));
    run!(conn, get_result(tries::table.filter(living).select(count_star())))
}

/// Notes that a try was refused after this many failures.
async fn mark_refused(conn: &mut Conn<'_>, subject: &Subject, failures: i64) -> Result<()> {
    run!(conn, execute(diesel::update(counts::table.find(&subject.hash)).set(counts::told.eq(failures)))).map(drop)
}

fn count((failures, _, last_failed_at, _): CountRow, under_way: i64) -> Count {
    let small = |many: i64| u32::try_from(many).unwrap_or(if many < 0 { 0 } else { u32::MAX });
    Count { failures: small(failures), last_failed_at, under_way: small(under_way) }
}
