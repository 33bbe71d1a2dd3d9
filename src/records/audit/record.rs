//! Where the rest of the program records what happened.

use futures_util::future::LocalBoxFuture;

use super::{chain, event::Event};
use crate::{
    base::{
        db::{Conn, Epilogue},
        error::Result,
    },
    records::news,
};

/// Writes events, with the transaction of what they record: just before it commits, all that it recorded at once and in
/// this order, so that it holds the trail of an account as shortly as it can.
///
/// # Errors
/// Outside of a transaction. That the database is away is told when the transaction ends, and it fails as a whole.
pub async fn record(conn: &mut Conn<'_>, events: &[Event]) -> Result<()> {
    news::changed(conn, events.iter().filter_map(|event| event.account_id.as_deref()))?;
    conn.epilogue::<Unwritten>()?.add(events);
    Ok(())
}

/// What a transaction has recorded so far.
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
