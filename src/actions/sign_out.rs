//! A session is logged out by whoever has its key, or one that it had before a rotation, if its id is named too. Called by
//! the sync.
//!
//! Invariant: what is answered with success has ended, whatever key the session has by then.

use crate::base::{db::Conn, error::Result, text::is_id};
use crate::records::session::{EndReason, SessionKey, SessionRef, Sessions, ends, former};

impl Sessions {
    /// Ends the session that a key opens, or opened before a rotation, as logged out, if one of these ids names it. An id
    /// from before a rotation names it too.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn log_out_named(&self, key: &SessionKey, ids: Vec<String>, ip: Option<String>) -> Result<bool> {
        let key = key.clone();
        self.db
            .write(async move |conn: &mut Conn<'_>| {
                let Some(held) = former::lock_holder(conn, &key).await? else {
                    return Ok(false);
                };
                let mut is_named = ids.contains(&held.session_id);
                for id in ids.iter().filter(|id| is_id(id)) {
                    is_named = is_named || former::present_id(conn, &held.account_id, id).await? == held.session_id;
                }
                if !is_named {
                    return Ok(false);
                }
                let one = ends::Scope::One(SessionRef::new(&held.account_id, &held.session_id));
                Ok(ends::end(conn, &one, EndReason::LoggedOut, &held.account_id, ip.as_deref()).await? == 1)
            })
            .await
    }
}
