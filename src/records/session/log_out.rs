//! Ends a session as logged out. The caller presents the session's current key or a former key. Called by the
//! [`store`](super::store) and by the sign-out actions.
//!
//! Locks, in this order: the account's row, the session.
//!
//! Invariant: when a logout succeeds, the session has ended, even if its key was rotated meanwhile.

use super::{
    ended::EndReason,
    ends::{self, Scope},
    former,
    key::SessionKey,
    record::SessionRef,
    service::Sessions,
};
use crate::base::{db::Conn, error::Result, text::is_id};

impl Sessions {
    /// Ends the session of a current or former key. Returns whether the session was live.
    pub async fn log_out(&self, key: &SessionKey, ip: Option<String>) -> Result<bool> {
        let key = key.clone();
        self.db.write(async move |conn: &mut Conn<'_>| log_out(conn, &key, None, ip.as_deref()).await).await
    }
}

/// Ends the session of a current or former key. Returns whether the session was live. With `named`, ends the session
/// only if `named` contains its current id or a former id.
pub async fn log_out(
    conn: &mut Conn<'_>,
    key: &SessionKey,
    named: Option<&[String]>,
    ip: Option<&str>,
) -> Result<bool> {
    let Some(session) = former::lock_holder(conn, key).await? else {
        return ends::settle(conn, key).await.map(|()| false);
    };
    if let Some(ids) = named {
        let mut is_named = ids.contains(&session.session_id);
        for id in ids.iter().filter(|id| is_id(id)) {
            is_named = is_named || former::present_id(conn, &session.account_id, id).await? == session.session_id;
        }
        if !is_named {
            return Ok(false);
        }
    }
    let scope = Scope::One(SessionRef::new(&session.account_id, &session.session_id));
    Ok(ends::end(conn, &scope, EndReason::LoggedOut, &session.account_id, ip).await? == 1)
}
