//! An operator reports a restored backup, a move or a failover of the database. Called by the `restored` command.
//!
//! Uses several transactions. Each can be repeated. Locks: the generation's row; then, in separate transactions, sessions by
//! account and id, the setup links, and the instance's row.
//!
//! Invariant: after an interruption, running the command again completes its work.

use super::revoke::{self, AllEnded};
use crate::{
    base::{
        db::{Conn, Db, Place},
        error::Result,
    },
    records::instance::{self, history},
};

/// For a database that may have lost changes: ends all sessions, closes the setup and begins a new history. Returns how
/// many sessions ended.
pub async fn begin_anew(db: &Db, place: Place) -> Result<AllEnded> {
    // The backup may contain live sessions that ended after it was taken. They cannot be told apart, so all sessions
    // end.
    let ended = revoke::revoke_all(db).await?;
    db.write(async |conn: &mut Conn<'_>| instance::close_setup(conn).await).await?;
    // This step comes last: if the command is interrupted, `doctor` still asks the operator to run it.
    history::confirm(db, place, false).await?;
    Ok(ended)
}

/// For a database that has lost nothing: the current history continues.
pub async fn confirm_nothing_lost(db: &Db, place: Place) -> Result<()> {
    history::confirm(db, place, true).await
}
