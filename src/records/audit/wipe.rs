//! Wipes old addresses from audit events. Called by the sweep of `serve` and by `prune`.
//!
//! Invariant: an address is wiped together with its salt, so that the commitment in the chain does not reveal it.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::{BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, dsl::sql, sql_types::Bool};

use crate::base::{
    db::{Conn, ForUpdate, before_now, run, schema::audit},
    error::Result,
};

/// Maximum rows per transaction.
const BATCH: i64 = 200;

/// Wipes the addresses of an actor from the trails of others. The condition is that of the index, word by word.
pub(super) async fn wipe_of_actor(conn: &mut Conn<'_>, actor: &str) -> Result<()> {
    let in_others = sql::<Bool>("audit.ip IS NOT NULL AND audit.actor <> audit.account_id AND audit.account_id <> ''");
    let those = audit::table.filter(audit::actor.eq(actor)).filter(in_others);
    let without = (audit::ip.eq(None::<String>), audit::ip_salt.eq(None::<Vec<u8>>));
    run!(conn, execute(diesel::update(those).set(without))).map(drop)
}

/// Wipes the addresses of some events that are older than this. Returns the number of events.
pub async fn wipe_batch(conn: &mut Conn<'_>, older_than: Duration) -> Result<usize> {
    let old = audit::table
        .filter(audit::ip.is_not_null().and(audit::at.le(before_now(older_than))))
        .order(audit::at)
        .limit(BATCH)
        .select((audit::account_id, audit::id));
    let found: Vec<(String, i64)> = ForUpdate::load_across(conn, old).await?;
    let mut by_account: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (account_id, id) in &found {
        by_account.entry(account_id).or_default().push(*id);
    }
    let mut wiped = 0;
    for (account_id, ids) in by_account {
        let own = audit::table.filter(audit::account_id.eq(account_id)).filter(audit::id.eq_any(ids));
        let without = (audit::ip.eq(None::<String>), audit::ip_salt.eq(None::<Vec<u8>>));
        wiped += run!(conn, execute(diesel::update(own).set(without)))?;
    }
    Ok(wiped)
}
