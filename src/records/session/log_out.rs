//! A session is logged out by whoever has its key, or one that it had before a rotation. Called by the pages and the API of
//! signing out, and by the [`store`](super::store).
//!
//! Invariant: what is answered with success has ended, whatever key the session has by then.

use super::{ended::EndReason, ends, former, key::SessionKey, record::SessionRef, service::Sessions};
use crate::base::{db::Conn, error::Result};

impl Sessions {
    /// Ends the session that a key opens, or opened before a rotation, as logged out; whether it lived.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn log_out(&self, key: &SessionKey, ip: Option<String>) -> Result<bool> {
        let key = key.clone();
        self.db
            .write(async move |conn: &mut Conn<'_>| {
                let Some(held) = former::lock_holder(conn, &key).await? else {
                    return Ok(false);
                };
                let one = ends::Scope::One(SessionRef::new(&held.account_id, &held.session_id));
                Ok(ends::end(conn, &one, EndReason::LoggedOut, &held.account_id, ip.as_deref()).await? == 1)
            })
            .await
    }
}
