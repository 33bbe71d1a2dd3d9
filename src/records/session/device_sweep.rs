//! Clears away devices that nobody comes back to. Called by the sweep of `serve` and by `prune`, and after a sign-in on a new device.
//!
//! Invariant: no device with a session that has not ended goes, nor an account's last one that is known to be the person's own:
//! without it whoever comes next would be trusted for being the first.

use std::time::Duration;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _,
    dsl::{exists, not},
};

use super::live::has_not_ended;
use crate::{
    base::{
        db::{
            Conn, Db, ForUpdate, Instant, before_now, find, pair_in, run,
            schema::{devices, sessions},
        },
        error::Result,
    },
    records::device,
};

/// Since when nobody has signed in on a device whose browser knows nothing of it any more: its cookie lasts as long.
const FORGOTTEN: Duration = Duration::from_secs(400 * 86_400);
/// Devices that an account keeps for nobody has answered for them, beside those that are signed in.
const MOST_UNANSWERED: i64 = 200;
/// Devices a transaction deletes at most.
const BATCH: i64 = 200;

/// Deletes devices that nobody has signed in on for 400 days; how many.
///
/// # Errors
/// When the database is away; what was done before stays done.
pub async fn sweep(db: &Db) -> Result<usize> {
    let mut deleted = 0;
    loop {
        match db.write(delete_forgotten).await? {
            0 => return Ok(deleted),
            some => deleted += some,
        }
    }
}

async fn delete_forgotten(conn: &mut Conn<'_>) -> Result<usize> {
    let others = diesel::alias!(devices as others);
    let later_known = others
        .filter(others.field(devices::account_id).eq(devices::account_id))
        .filter(others.field(devices::acknowledged_at).is_not_null())
        .filter(others.field(devices::last_seen).gt(devices::last_seen));
    let found: Vec<(String, String)> = run!(
        conn,
        load(ForUpdate::skip_locked(
            devices::table
                .filter(devices::last_seen.le(before_now(FORGOTTEN)))
                .filter(not(exists(going_on!())))
                .filter(devices::acknowledged_at.is_null().or(exists(later_known)))
                .order(devices::last_seen)
                .limit(BATCH)
                .select((devices::account_id, devices::id))
        ))
    )?;
    delete(conn, &found).await
}

/// Of the devices of an account that nobody has answered for, forgets those that came long before others and are not signed
/// in, so that sign-ins without end leave no questions without end. In a transaction that has locked the account.
///
/// # Errors
/// When the database is away.
pub async fn make_room(conn: &mut Conn<'_>, account_id: &str) -> Result<()> {
    let unanswered =
        || devices::table.filter(devices::account_id.eq(account_id)).filter(devices::acknowledged_at.is_null());
    let newest_first = unanswered().order((devices::first_seen.desc(), devices::id));
    let newest_to_go: Option<Instant> =
        find!(conn, first(newest_first.offset(MOST_UNANSWERED).select(devices::first_seen)))?;
    let Some(newest_to_go) = newest_to_go else { return Ok(()) };
    let found: Vec<(String, String)> = run!(
        conn,
        load(
            unanswered()
                .filter(devices::first_seen.le(newest_to_go))
                .filter(not(exists(going_on!())))
                .order((devices::first_seen, devices::id.desc()))
                .limit(BATCH)
                .select((devices::account_id, devices::id))
        )
    )?;
    delete(conn, &found).await.map(drop)
}

/// Deletes devices, each named by its account and its id, with what tells whose their secrets are.
async fn delete(conn: &mut Conn<'_>, found: &[(String, String)]) -> Result<usize> {
    if found.is_empty() {
        return Ok(0);
    }
    let pairs = found.iter().map(|(account_id, id)| (account_id.as_str(), id.as_str()));
    let those = devices::table.filter(pair_in((devices::account_id, devices::id), pairs));
    let hashes: Vec<Vec<u8>> = run!(conn, get_results(diesel::delete(those).returning(devices::secret_hash)))?;
    device::owners::remove(conn, &hashes).await?;
    Ok(hashes.len())
}

/// The sessions of a device that have not ended.
macro_rules! going_on {
    () => {
        sessions::table
            .filter(sessions::account_id.eq(devices::account_id))
            .filter(sessions::device_id.eq(devices::id.nullable()))
            .filter(has_not_ended())
    };
}
use going_on;
