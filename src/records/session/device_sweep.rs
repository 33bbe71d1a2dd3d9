//! Deletes devices that are no longer used. Called by the sweep of `serve`, by `prune`, and after a sign-in on a new
//! device.
//!
//! Invariant: a device with a session that has not ended is never deleted. Neither is the account's last acknowledged
//! device: without it, the next device to sign in would be trusted as the account's first.

use std::time::Duration;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _,
    dsl::{exists, not},
};

use super::live::has_not_ended;
use crate::{
    base::{
        db::{
            Conn, Db, ForUpdate, Instant, PairIn, before_now, find, pair_in, run,
            schema::{devices, sessions},
        },
        error::Result,
    },
    records::device,
};

/// Time without a sign-in after which a device is deleted. The device's cookie lasts just as long, so its browser no
/// longer has it.
const FORGOTTEN: Duration = Duration::from_secs(400 * 86_400);
/// Unacknowledged devices kept per account. Devices that are signed in are kept in addition.
const MOST_UNANSWERED: i64 = 200;
/// Maximum number of devices that one transaction deletes.
const BATCH: i64 = 200;

/// Deletes devices without a sign-in for 400 days. Returns how many.
///
/// # Errors
/// When a batch fails. Earlier batches stay deleted.
pub async fn sweep(db: &Db) -> Result<usize> {
    let mut deleted = 0;
    loop {
        match db.write(delete_forgotten).await? {
            0 => return Ok(deleted),
            count => deleted += count,
        }
    }
}

async fn delete_forgotten(conn: &mut Conn<'_>) -> Result<usize> {
    let others = diesel::alias!(devices as others);
    let later_acknowledged = others
        .filter(others.field(devices::account_id).eq(devices::account_id))
        .filter(others.field(devices::acknowledged_at).is_not_null())
        .filter(others.field(devices::last_seen).gt(devices::last_seen));
    let is_unused = || devices::last_seen.le(before_now(FORGOTTEN));
    let old = devices::table
        .filter(is_unused())
        .filter(not(exists(unended_sessions!(devices::account_id))))
        .filter(devices::acknowledged_at.is_null().or(exists(later_acknowledged)))
        .order(devices::last_seen)
        .limit(BATCH)
        .select((devices::account_id, devices::id));
    let found: Vec<(String, String)> = ForUpdate::load_across(conn, old).await?;
    if found.is_empty() {
        return Ok(0);
    }
    // The rows may not be locked, so check again: a sign-in since the read has set `last_seen`, and that device must stay.
    delete!(conn, devices::table.filter(is_one_of(&found)).filter(is_unused()))
}

/// Deletes the account's oldest unacknowledged devices beyond the limit, except for devices that are signed in.
/// Otherwise an attacker could fill the account with devices to acknowledge. The caller has locked the account.
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
                .filter(not(exists(unended_sessions!(account_id))))
                .order((devices::first_seen, devices::id.desc()))
                .limit(BATCH)
                .select((devices::account_id, devices::id))
        )
    )?;
    if found.is_empty() {
        return Ok(());
    }
    delete!(conn, devices::table.filter(is_one_of(&found))).map(drop)
}

/// Whether a device is one of these, given as pairs of account and id.
fn is_one_of(found: &[(String, String)]) -> PairIn<devices::account_id, devices::id> {
    pair_in((devices::account_id, devices::id), found.iter().map(|(account_id, id)| (account_id.as_str(), id.as_str())))
}

/// The sessions of a device that have not ended.
macro_rules! unended_sessions {
    ($account_id:expr) => {
        sessions::table
            .filter(sessions::account_id.eq($account_id))
            .filter(sessions::device_id.eq(devices::id.nullable()))
            .filter(has_not_ended())
    };
}
use unended_sessions;

/// Deletes devices, and the owner records of their secrets. Returns how many.
macro_rules! delete {
    ($conn:expr, $devices:expr) => {{
        let deleted = diesel::delete($devices).returning(devices::secret_hash);
        let hashes: Vec<Vec<u8>> = run!($conn, get_results(deleted))?;
        device::owners::remove($conn, &hashes).await?;
        Ok(hashes.len())
    }};
}
use delete;
