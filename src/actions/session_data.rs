//! A client changes its session's own JSON object. Called by the API.
//!
//! Locks, in this order: the account's row, the session.
//!
//! Invariant: writers of different members never undo one another, since each merges under the session's lock.

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

/// Merges a patch into the data; the whole afterwards. `None` when the session has ended.
///
/// # Errors
/// [`Error::TooLarge`](crate::base::error::Error::TooLarge).
pub async fn patch(db: &Db, acting: Acting, patch: Patch) -> Result<Option<String>> {
    db.write(async move |conn: &mut Conn<'_>| {
        let Some(who) = acting.hold(conn, Reach::Itself).await? else {
            return Ok(None);
        };
        data::change(conn, &who, patch).await.map(Some)
    })
    .await
}
