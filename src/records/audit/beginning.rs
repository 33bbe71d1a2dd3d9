//! Begins the audit chains when a program with the key file first opens the database. Each existing account gets a
//! sealed head that counts its earlier events. Then the [`mark`](super::mark) is set. Called at start.
//!
//! Invariant: chains begin once. With the mark set, no head is sealed here again.

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

/// Accounts per batch.
const ACCOUNTS: i64 = 500;

/// Whether any event has been sealed.
pub async fn is_begun(conn: &mut Conn<'_>) -> Result<bool> {
    let any: Option<String> = find!(conn, first(trails::table.filter(trails::links.gt(0)).select(trails::account_id)))?;
    Ok(any.is_some())
}

/// Seals the heads and sets the mark, unless it is set. The transaction must have locked the instance.
pub async fn begin(conn: &mut Conn<'_>, keys: &AuditKeys) -> Result<()> {
    match look(conn, keys).await? {
        Mark::Missing => {}
        Mark::Sealed | Mark::KeyMissing(_) => return Ok(()),
        Mark::Broken => {
            tracing::error!("invalid seal on the mark that the audit chains have begun");
            return Ok(());
        }
    }
    let sealed = seal_heads(conn, keys).await?;
    if sealed > 0 {
        tracing::warn!(
            accounts = sealed,
            "audit chains begun for existing accounts: their earlier events cannot be verified"
        );
    }
    let id = keys.signing().id();
    let mac = keys.signing().of_account(NOBODY)?.seal(&message(id));
    let set = (instance::trail_key_id.eq(Some(id)), instance::trail_mac.eq(Some(mac)));
    run!(conn, execute(diesel::update(instance::table).set(set))).map(drop)
}

/// Seals the head of every account whose chain has not begun. Returns the number of heads.
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
