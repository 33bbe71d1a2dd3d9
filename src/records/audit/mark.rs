//! The mark that every account's chain has begun, sealed under the trail's key. Set once, when a program with the keys first
//! opens the database: then each account gets a sealed head with the count of its events from before. Called by the start
//! and by `doctor`.
//!
//! Invariant: once the mark is there, a head without its seal is a forged one. A mark that was taken out again shows too, since
//! no program with the keys leaves a database without it.

use std::collections::BTreeSet;

use diesel::{ExpressionMethods as _, QueryDsl as _};

use super::chain::{self, Encoding};
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

/// What is known of the mark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mark {
    /// It is not there: no program with the keys has opened the database yet, or it was taken out.
    #[default]
    Missing,
    /// It is as it was sealed.
    Sealed,
    /// It is not.
    Broken,
    /// The key of this id sealed it and is not in the key file.
    KeyMissing(String),
}

/// What is known of the mark with these keys.
///
/// # Errors
/// When the database is away.
pub async fn look(conn: &mut Conn<'_>, keys: &AuditKeys) -> Result<Mark> {
    type Row = (Option<String>, Option<Vec<u8>>);
    let row: Option<Row> = find!(conn, first(instance::table.select((instance::trail_key_id, instance::trail_mac))))?;
    Ok(match row {
        None | Some((None, None)) => Mark::Missing,
        Some((Some(id), Some(mac))) => match keys.find(&id) {
            Some(key) if key.of_account(NOBODY)?.sealed(&message(&id), &mac) => Mark::Sealed,
            Some(_) => Mark::Broken,
            None => Mark::KeyMissing(id),
        },
        Some(_) => Mark::Broken,
    })
}

/// Sets the mark if it is not there, in a transaction that has locked the instance.
///
/// # Errors
/// When the database is away.
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

/// Whose key seals what is of no account.
pub(super) const NOBODY: &str = "";

fn message(key_id: &str) -> Vec<u8> {
    Encoding::of("sessile trail mark 1").text(Some(key_id)).0
}
