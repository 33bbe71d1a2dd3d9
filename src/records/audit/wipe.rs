//! Addresses are wiped from the trail once they are old. Called by the sweep of `serve` and by `prune`.
//!
//! Invariant: an address goes together with its salt, so that what stays in the chain tells nothing of it.

use std::time::Duration;

use diesel::{BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _};

use crate::base::{
    db::{Conn, Db, ForUpdate, before_now, run, schema::audit},
    error::Result,
};

/// Rows a transaction wipes at most.
const BATCH: i64 = 500;

/// Wipes the addresses of events that are older than this; of how many.
///
/// # Errors
/// When the database is away; what was done before stays done.
pub async fn wipe_addresses(db: &Db, older_than: Duration) -> Result<usize> {
    let mut wiped = 0;
    loop {
        match db.write(async move |conn: &mut Conn<'_>| wipe_batch(conn, older_than).await).await? {
            0 => return Ok(wiped),
            some => wiped += some,
        }
    }
}

async fn wipe_batch(conn: &mut Conn<'_>, older_than: Duration) -> Result<usize> {
    let ids: Vec<i64> = run!(
        conn,
        load(ForUpdate::skip_locked(
            audit::table
                .filter(audit::ip.is_not_null().and(audit::at.le(before_now(older_than))))
                .order(audit::at)
                .limit(BATCH)
                .select(audit::id)
        ))
    )?;
    if ids.is_empty() {
        return Ok(0);
    }
    let wiped = (audit::ip.eq(None::<String>), audit::ip_salt.eq(None::<Vec<u8>>));
    run!(conn, execute(diesel::update(audit::table.filter(audit::id.eq_any(&ids))).set(wiped)))
}
