//! The account of a session key. A key names it; keys of the old form do not, and a small table that the migration filled
//! leads from the ids of the sessions of that time to their accounts. Called by whatever looks a key up, and by the sweep.
//!
//! Invariant: the table only loses rows, each at the latest when its session's row is deleted.

use diesel::{ExpressionMethods as _, QueryDsl as _};

use super::{key::SessionKey, record::SessionRef};
use crate::base::{
    db::{
        Conn, Db, find, pair_in, run,
        schema::{account_of_session, former_keys},
    },
    error::Result,
};

/// Rows that a statement deletes at most.
const BATCH: usize = 1000;

/// The account of a key's session. Empty, which is no account's id, if the key is of the old form and of no session of that
/// time: then the statements that follow are the same and find nothing.
pub(super) async fn account_of(conn: &mut Conn<'_>, key: &SessionKey) -> Result<String> {
    if let Some(account_id) = key.account_id() {
        return Ok(account_id.to_owned());
    }
    let owner = account_of_session::table.find(key.id()).select(account_of_session::account_id);
    let owner: Option<String> = find!(conn, first(owner))?;
    Ok(owner.unwrap_or_default())
}

/// The same, in a read of its own if one is needed.
pub(super) async fn read(db: &Db, key: &SessionKey) -> Result<String> {
    if let Some(account_id) = key.account_id() {
        return Ok(account_id.to_owned());
    }
    let key = key.clone();
    db.read(async move |conn: &mut Conn<'_>| account_of(conn, &key).await).await
}

/// Deletes the rows of sessions that are about to be deleted, under all ids that they had.
pub(super) async fn forget(conn: &mut Conn<'_>, sessions: &[SessionRef]) -> Result<()> {
    let pairs = || sessions.iter().map(|session| (session.account_id.as_str(), session.id.as_str()));
    let of_these = pair_in((former_keys::account_id, former_keys::session_id), pairs());
    let former: Vec<String> = run!(conn, load(former_keys::table.filter(of_these).select(former_keys::id)))?;
    let ids: Vec<&str> = pairs().map(|(_, id)| id).chain(former.iter().map(String::as_str)).collect();
    for ids in ids.chunks(BATCH) {
        run!(
            conn,
            execute(diesel::delete(account_of_session::table.filter(account_of_session::session_id.eq_any(ids))))
        )?;
    }
    Ok(())
}
