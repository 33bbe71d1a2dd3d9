//! The end of a trail: when an account is deleted, its events go, and a sealed checkpoint and the event of the deletion
//! take their place. Called by [`chain`](super::chain), which has locked the head.
//!
//! Invariant: no event is added to a closed trail. It verifies like any other.

use std::collections::BTreeSet;

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _};

use super::{
    checkpoint::Checkpoint,
    event::{Event, Kind},
    wipe,
};
use crate::base::{
    db::{
        Conn, Instant, TrailHead, find, now, run,
        schema::{accounts, audit, audit_repeats, trails},
    },
    error::Result,
    keys::AuditKeys,
};

/// Leaves out events of closed trails, and all but the last event of trails that are being closed. Removes closed heads.
pub(super) fn recordable<Time, Newest>(events: Vec<Event>, heads: &mut Vec<(TrailHead, Time, Newest)>) -> Vec<Event> {
    let is_closed = |(head, ..): &(TrailHead, Time, Newest)| head.closed_at.is_some();
    let closed: BTreeSet<String> =
        heads.iter().filter(|head| is_closed(head)).map(|(head, ..)| head.account_id.clone()).collect();
    heads.retain(|head| !is_closed(head));
    let is_last = |event: &Event| event.kind == Kind::AccountDeleted && event.is_own();
    let closing: BTreeSet<String> =
        events.iter().filter(|event| is_last(event)).filter_map(|event| event.account_id.clone()).collect();
    let kept = |event: &Event| {
        let account_id = event.account_id.as_deref().unwrap_or_default();
        !closed.contains(account_id) && (!closing.contains(account_id) || is_last(event))
    };
    events.into_iter().filter(kept).collect()
}

/// Deletes the account's events, and writes the checkpoint that stands for them: their numbers and their digest. Wipes
/// the addresses that the person left in the trails of others.
pub(super) async fn close(
    conn: &mut Conn<'_>,
    keys: &AuditKeys,
    account_id: &str,
    (counts, digest): ([i64; 2], Vec<u8>),
) -> Result<()> {
    run!(conn, execute(diesel::delete(audit::table.filter(audit::account_id.eq(account_id)))))?;
    run!(conn, execute(diesel::delete(audit_repeats::table.filter(audit_repeats::account_id.eq(account_id)))))?;
    Checkpoint::new(keys, account_id, counts, digest)?.write(conn, account_id).await?;
    let head = trails::table.filter(trails::account_id.eq(account_id));
    run!(conn, execute(diesel::update(head).set(trails::closed_at.eq(now().nullable()))))?;
    wipe::wipe_of_actor(conn, account_id).await
}

/// Whether the account was deleted.
pub(super) async fn is_deleted(conn: &mut Conn<'_>, account_id: &str) -> Result<bool> {
    let own = accounts::table.filter(accounts::id.eq(account_id)).select(accounts::deleted_at);
    let deleted_at: Option<Option<Instant>> = find!(conn, first(own))?;
    Ok(deleted_at.flatten().is_some())
}
