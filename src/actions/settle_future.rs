//! Corrects stored times after the database's clock was set back. Called by the background job that follows the clock.
//!
//! Locks: batches of rows that no other transaction has locked.
//!
//! Invariant: nodes forget the sessions that they cached with the old times.

use crate::{
    base::{
        db::{Conn, Db},
        error::Result,
    },
    records::news,
};

/// Sets stored times in the future to now. Waits for `rest` after each portion of a table.
pub async fn settle_future(db: &Db, rest: impl AsyncFnMut()) -> Result<()> {
    if db.settle_future(rest).await? > 0 {
        db.write(async |conn: &mut Conn<'_>| news::many(conn).await).await?;
    }
    Ok(())
}
