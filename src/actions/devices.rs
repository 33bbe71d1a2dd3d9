//! A signed-in person renames a device, or acknowledges a new device as their own. Called by the devices page and the
//! API. Forgetting a device is in [`end_sessions`](super::end_sessions).
//!
//! Locks, in this order: the account's row, the session, the device.
//!
//! Invariant: only devices of the person's own account are changed.

use crate::{
    base::{
        db::{Conn, Db},
        error::{Error, Result},
    },
    records::{
        audit::{self, Kind},
        device::{arrivals, known},
        news,
        session::{CurrentUser, Reach},
    },
};

/// Renames a device. The caller has validated the name. Returns `None` if the session has ended.
///
/// # Errors
/// [`Error::NotFound`] when the account has no such device.
pub async fn rename(db: &Db, user: &CurrentUser, id: String, name: String, ip: Option<&str>) -> Result<Option<()>> {
    let (acting, event) = (user.acting(), user.event(Kind::DeviceRenamed).ip(ip));
    let renamed = db
        .write(async move |conn: &mut Conn<'_>| {
            let Some(who) = acting.hold(conn, Reach::Itself).await? else {
                return Ok(None);
            };
            let Some(was) = known::rename(conn, &who.account_id, &id, &name).await? else {
                return Ok(Some(false));
            };
            if was != name {
                let event = event.session(&who.session_id).device(Some(&id), Some(&name)).detail(&format!("was {was}"));
                audit::record(conn, &[event]).await?;
            }
            Ok(Some(true))
        })
        .await?;
    found(renamed)
}

/// Marks a new device as known to the person, so that pages stop asking about it. Returns `None` if the session has
/// ended.
///
/// # Errors
/// [`Error::NotFound`] when the account has no such unacknowledged device.
pub async fn acknowledge(db: &Db, user: &CurrentUser, id: String) -> Result<Option<()>> {
    let acting = user.acting();
    let acknowledged = db
        .write(async move |conn: &mut Conn<'_>| {
            let Some(who) = acting.hold(conn, Reach::Itself).await? else {
                return Ok(None);
            };
            let acknowledged = arrivals::acknowledge(conn, &who.account_id, &id, who.device_id.as_deref()).await?;
            if acknowledged {
                // Other open pages stop asking too.
                news::changed(conn, std::iter::once(who.account_id.as_str()))?;
            }
            Ok(Some(acknowledged))
        })
        .await?;
    found(acknowledged)
}

fn found(is_found: Option<bool>) -> Result<Option<()>> {
    match is_found {
        None => Ok(None),
        Some(false) => Err(Error::NotFound),
        Some(true) => Ok(Some(())),
    }
}
