//! Ends a session as logged out, for whoever has its key or one that it had before a rotation. Called by the
//! [`store`](super::store) and by the actions of signing out.
//!
//! Locks, in this order: the account's row, the session.
//!
//! Invariant: what is answered with success has ended, whatever key the session has by then.

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
    /// Ends the session that a key opens, or opened before a rotation; whether it lived.
    pub async fn log_out(&self, key: &SessionKey, ip: Option<String>) -> Result<bool> {
        let key = key.clone();
        self.db.write(async move |conn: &mut Conn<'_>| log_out(conn, &key, None, ip.as_deref()).await).await
    }
}

/// Ends the session that a key opens, or opened before a rotation; whether it lived. With `named`, only if one of these ids
/// is the session's present or a former one.
pub async fn log_out(
    conn: &mut Conn<'_>,
    key: &SessionKey,
    named: Option<&[String]>,
    ip: Option<&str>,
) -> Result<bool> {
    let Some(held) = former::lock_holder(conn, key).await? else {
        return Ok(false);
    };
    if let Some(ids) = named {
        let mut is_named = ids.contains(&held.session_id);
        for id in ids.iter().filter(|id| is_id(id)) {
            is_named = is_named || former::present_id(conn, &held.account_id, id).await? == held.session_id;
        }
        if !is_named {
            return Ok(false);
        }
    }
    let one = Scope::One(SessionRef::new(&held.account_id, &held.session_id));
    Ok(ends::end(conn, &one, EndReason::LoggedOut, &held.account_id, ip).await? == 1)
}
