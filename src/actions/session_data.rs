//! A client changes the JSON object of its own session. Called by the API.
//!
//! Locks, in this order: the account's row, the session.
//!
//! Invariant: concurrent writers of different members never overwrite each other, because each merges under the
//! session's lock.

use crate::{
    base::{
        db::{Conn, Db},
        error::Result,
    },
    records::session::{
        Acting, Reach,
        data::{self, Patch},
    },
};

/// Merges a patch into the data and returns the merged object. Returns `None` if the session has ended.
///
/// # Errors
/// [`Error::TooLarge`](crate::base::error::Error::TooLarge) if the merged object is over the limit.
pub async fn patch(db: &Db, acting: Acting, patch: Patch) -> Result<Option<String>> {
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(who) = acting.hold(conn, Reach::Itself).await? else {
            return Ok(None);
        };
        data::change(conn, &who, patch).await.map(Some)
    })
    .await
}
