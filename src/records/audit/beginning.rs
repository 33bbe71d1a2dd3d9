//! The beginning of every account's chain, when a program with the keys first opens the database: each account gets a sealed
//! head with the count of its events from before, and the [`mark`](super::mark) is set. Called by the start.

use std::collections::BTreeSet;

use diesel::{ExpressionMethods as _, QueryDsl as _};

use super::{
    chain,
    mark::{Mark, NOBODY, look, message},
};
use crate::base::{
    db::{
        Conn, find, run,
        schema::{accounts, instance, trails},
    },
    error::Result,
    keys::AuditKeys,
};

/// Accounts whose heads are sealed at once.
const ACCOUNTS: i64 = 500;

/// Whether any event was sealed yet.
pub async fn is_begun(conn: &mut Conn<'_>) -> Result<bool> {
    let any: Option<String> = find!(conn, first(trails::table.filter(trails::links.gt(0)).select(trails::account_id)))?;
    Ok(any.is_some())
}

/// Sets the mark if it is not there, in a transaction that has locked the instance.
pub async fn begin(conn: &mut Conn<'_>, keys: &AuditKeys) -> Result<()> {
    match look(conn, keys).await? {
        Mark::Missing => {}
        Mark::Sealed | Mark::KeyMissing(_) => return Ok(()),
        Mark::Broken => {
            tracing::error!("the mark that the trail has begun is not as it was sealed");
            return Ok(());
        }
    }
    let sealed = seal_heads(conn, keys).await?;
    if sealed > 0 {
        tracing::warn!(
            accounts = sealed,
            "the trail of accounts from before begins: their events until now are taken as they are"
        );
    }
    let id = keys.signing().id();
    let mac = keys.signing().of_account(NOBODY)?.seal(&message(id));
    let set = (instance::trail_key_id.eq(Some(id)), instance::trail_mac.eq(Some(mac)));
    run!(conn, execute(diesel::update(instance::table).set(set))).map(drop)
}

/// Seals the head of every account whose chain has not begun; of how many.
async fn seal_heads(conn: &mut Conn<'_>, keys: &AuditKeys) -> Result<usize> {
    let mut last = String::new();
    let mut sealed = 0;
    loop {
        let some = accounts::table.filter(accounts::id.gt(&last)).order(accounts::id).limit(ACCOUNTS);
        let ids: Vec<String> = run!(conn, load(some.select(accounts::id)))?;
        let Some(newest) = ids.last() else { return Ok(sealed) };
        last.clone_from(newest);
        let begun = trails::table.filter(trails::account_id.eq_any(&ids)).filter(trails::mac.is_not_null());
        let begun: Vec<String> = run!(conn, load(begun.select(trails::account_id)))?;
        let new: BTreeSet<&str> = ids.iter().filter(|id| !begun.contains(id)).map(String::as_str).collect();
        sealed += chain::begin(conn, &new, keys).await?;
    }
}
