//! Finds the account of a session key. A key contains its account, except for keys of the old form. For these, a small
//! table maps the ids of their sessions to accounts. Called by every lookup of a key, and by the sweep.
//!
//! Invariant: no rows are added to the table. A row is deleted at the latest when its session's row is deleted.

use diesel::{ExpressionMethods as _, QueryDsl as _};

use super::{key::SessionKey, record::SessionRef};
use crate::base::{
    db::{
        Conn, Db, find, pair_in, run,
        schema::{account_of_session, former_keys},
    },
    error::Result,
};

/// Maximum number of rows that one statement deletes.
const BATCH: usize = 1000;

/// The account of a key's session. Returns an empty id, which no account has, if the key has the old form and its
/// session is not in the table. The caller's statements then find nothing.
pub(super) async fn account_of(conn: &mut Conn<'_>, key: &SessionKey) -> Result<String> {
    if let Some(account_id) = key.account_id() {
        return Ok(account_id.to_owned());
    }
    let owner = account_of_session::table.find(key.id()).select(account_of_session::account_id);
    let owner: Option<String> = find!(conn, first(owner))?;
    Ok(owner.unwrap_or_default())
}

/// Like [`account_of`], but in its own read. A key that contains its account needs no read.
pub(super) async fn read(db: &Db, key: &SessionKey) -> Result<String> {
    if let Some(account_id) = key.account_id() {
        return Ok(account_id.to_owned());
    }
    let key = key.clone();
    db.read(async move |conn: &mut Conn<'_>| account_of(conn, &key).await).await
}

/// Deletes the rows of sessions that are about to be deleted, under their current and former ids.
pub(super) async fn forget(conn: &mut Conn<'_>, sessions: &[SessionRef]) -> Result<()> {
    let pairs = || sessions.iter().map(|session| (session.account_id.as_str(), session.id.as_str()));
    let of_sessions = pair_in((former_keys::account_id, former_keys::session_id), pairs());
    let former: Vec<String> = run!(conn, load(former_keys::table.filter(of_sessions).select(former_keys::id)))?;
    let ids: Vec<&str> = pairs().map(|(_, id)| id).chain(former.iter().map(String::as_str)).collect();
    for ids in ids.chunks(conn.at_once(BATCH)) {
        run!(
            conn,
            execute(diesel::delete(account_of_session::table.filter(account_of_session::session_id.eq_any(ids))))
        )?;
    }
    Ok(())
}
