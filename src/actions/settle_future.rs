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

/// Sets stored times in the future to now. Announces each portion of a table that changed, and then waits for `rest`.
///
/// # Errors
/// The portions before the error stay committed and announced.
pub async fn settle_future(db: &Db, mut rest: impl AsyncFnMut()) -> Result<()> {
    let then = async |changed: usize| {
        if changed > 0 {
            db.write(async |conn: &mut Conn<'_>| news::many(conn).await).await?;
        }
        rest().await;
        Ok(())
    };
    db.settle_future(then).await.map(drop)
}
