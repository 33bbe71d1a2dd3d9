//! Records the sums of counted events whose hour is over. Called by the sweep of `serve` and by `prune`.
//!
//! Invariant: each sum is recorded under the lock of its account's head, so that it is recorded once.

use diesel::{ExpressionMethods as _, QueryDsl as _};

use super::{
    event::{Event, Kind},
    record::record,
    repeats::WINDOW,
};
use crate::base::{
    db::{Conn, Db, before_now, run, schema::audit_repeats as repeats},
    error::Result,
};

/// Rows per batch.
const BATCH: i64 = 500;

/// Closes the windows whose hour is over, in batches, and records their sums.
pub async fn sweep(db: &Db) -> Result<()> {
    loop {
        let over = repeats::began_at.le(before_now(WINDOW));
        let find = async move |conn: &mut Conn<'_>| -> Result<Vec<(String, Kind)>> {
            let some = repeats::table.filter(over).order(repeats::began_at).limit(BATCH);
            run!(conn, load(some.select((repeats::account_id, repeats::kind))))
        };
        let rows = db.read(find).await?;
        if rows.is_empty() {
            return Ok(());
        }
        for (account, kind) in rows {
            let closes = Event { only_closes: true, ..Event::of(kind, &account) };
            db.write(async move |conn: &mut Conn<'_>| record(conn, &[closes]).await).await?;
        }
    }
}
