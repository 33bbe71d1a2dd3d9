//! Records audit events. Called by every action that has to be audited.
//!
//! Invariant: events are written in the transaction that makes the change, or not at all.

use futures_util::future::LocalBoxFuture;

use super::{chain, event::Event};
use crate::{
    base::{
        db::{Conn, Epilogue},
        error::Result,
    },
    records::news,
};

/// Records events in the current transaction. They are written together and in order just before the commit, so that
/// the heads of the audit chains are locked only briefly.
///
/// # Errors
/// Outside a transaction. A failed write fails the whole transaction when it commits.
pub async fn record(conn: &mut Conn<'_>, events: &[Event]) -> Result<()> {
    news::changed(conn, events.iter().filter_map(|event| event.account_id.as_deref()))?;
    conn.epilogue::<Unwritten>()?.add(events);
    Ok(())
}

/// The events of a transaction that are not written yet.
#[derive(Default)]
struct Unwritten(Vec<Event>);

impl Unwritten {
    fn add(&mut self, events: &[Event]) {
        self.0.extend_from_slice(events);
    }
}

impl Epilogue for Unwritten {
    fn run<'c>(self: Box<Self>, conn: &'c mut Conn<'_>) -> LocalBoxFuture<'c, Result<()>> {
        Box::pin(async move { chain::write(conn, self.0).await })
    }
}
