//! A session is logged out by whoever has its key, or one that it had before a rotation, if its id is named too. Called by
//! the sync.
//!
//! Invariant: what is answered with success has ended, whatever key the session has by then.

use crate::{
    base::{db::Conn, error::Result},
    records::session::{SessionKey, Sessions, log_out::log_out},
};

impl Sessions {
    /// Ends the session that a key opens, or opened before a rotation, as logged out, if one of these ids names it. An id
    /// from before a rotation names it too.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn log_out_named(&self, key: &SessionKey, ids: Vec<String>, ip: Option<String>) -> Result<bool> {
        let key = key.clone();
        self.db.write(async move |conn: &mut Conn<'_>| log_out(conn, &key, Some(&ids), ip.as_deref()).await).await
    }
}
