//! An operator says what happened to the database: a restored backup, a move or a failover. Called by the `restored`
//! command.
//!
//! Several transactions, since there may be many sessions; each can be repeated. Locks: the sessions that end, by id; then,
//! in transactions of their own, the setup links and the instance's row.

use super::revoke;
use crate::{
    base::{
        db::{Conn, Db, Place},
        error::Result,
    },
    records::instance::{self, history},
};

/// The database may have lost changes: ends all sessions, closes the setup and begins a new history. How many ended.
pub async fn begin_anew(db: &Db, place: Place) -> Result<usize> {
    // Sessions that ended after the backup live again in it, and nobody can tell which.
    let ended = revoke::revoke_all(db).await?;
    db.write(async |conn: &mut Conn<'_>| instance::close_setup(conn).await).await?;
    // Last, so that `doctor` goes on asking if this is interrupted.
    history::confirm(db, place, false).await?;
    Ok(ended)
}

/// The database has everything that was acknowledged: the history goes on.
pub async fn confirm_nothing_lost(db: &Db, place: Place) -> Result<()> {
    history::confirm(db, place, true).await
}
