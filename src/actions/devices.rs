//! A signed-in person names a device, or says that a new one is theirs. Called by the devices page and the API; forgetting
//! a device is in [`end_sessions`](super::end_sessions).
//!
//! Locks, in this order: the account's row, the session, the device.
//!
//! Invariant: only devices of the person's own account change.

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

/// Gives a device a name that was checked. `None` when the session has ended.
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

/// Notes that the person knows a new device: pages ask about it no more. `None` when the session has ended.
///
/// # Errors
/// [`Error::NotFound`] when the account has no such device to ask about.
pub async fn acknowledge(db: &Db, user: &CurrentUser, id: String) -> Result<Option<()>> {
    let acting = user.acting();
    let acknowledged = db
        .write(async move |conn: &mut Conn<'_>| {
            let Some(who) = acting.hold(conn, Reach::Itself).await? else {
                return Ok(None);
            };
            let acknowledged = arrivals::acknowledge(conn, &who.account_id, &id, who.device_id.as_deref()).await?;
            if acknowledged {
                // Other open pages ask no more.
                news::changed(conn, std::iter::once(who.account_id.as_str()))?;
            }
            Ok(Some(acknowledged))
        })
        .await?;
    found(acknowledged)
}

fn found(done: Option<bool>) -> Result<Option<()>> {
    match done {
        None => Ok(None),
        Some(false) => Err(Error::NotFound),
        Some(true) => Ok(Some(())),
    }
}
