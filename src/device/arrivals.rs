//! New devices of an account. A sign-in from a browser that was not here before is shown to the account's other devices,
//! until one of them says whose it is. Called by the pages.
//!
//! Invariant: no device answers for itself, and one that nobody has answered for yet answers for none while one that is
//! known to be the person's own is signed in. So whoever has the password alone cannot hide that they came.

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _, NullableExpressionMethods as _, QueryDsl as _,
    SelectableHelper as _,
};

use super::Device;
use crate::{
    db::{
        Conn, find, now, run,
        schema::{devices, sessions},
    },
    error::Result,
};

/// What a device is told of the account's new ones, newest first.
#[derive(Debug, Clone, Default)]
pub struct Arrivals {
    /// Devices that this one may answer for.
    pub to_answer: Vec<Device>,
    /// Ids of all that nobody has answered for, this one among them if it is new itself.
    pub unanswered: Vec<String>,
}

/// What the device in use is told. One query through an index of unanswered devices; a second one only while the device in
/// use is new itself.
///
/// # Errors
/// When the database is away.
pub async fn list(conn: &mut Conn<'_>, account_id: &str, in_use: Option<&str>) -> Result<Arrivals> {
    let new: Vec<Device> = run!(
        conn,
        load(
            devices::table
                .filter(devices::account_id.eq(account_id))
                .filter(devices::acknowledged_at.is_null())
                .order((devices::first_seen.desc(), devices::id))
                .select(Device::as_select())
        )
    )?;
    let unanswered: Vec<String> = new.iter().map(|device| device.id.clone()).collect();
    let is_new_itself = unanswered.iter().any(|id| Some(id.as_str()) == in_use);
    let mut to_answer = new;
    to_answer.retain(|device| Some(device.id.as_str()) != in_use);
    if is_new_itself && !to_answer.is_empty() && known_is_signed_in(conn, account_id).await? {
        to_answer.clear();
    }
    Ok(Arrivals { to_answer, unanswered })
}

/// Notes that a new device is the person's own, said from the device in use; `false` when that may not say so, or there
/// is no such device of the account. Saying it again changes nothing.
///
/// # Errors
/// When the database is away.
pub async fn acknowledge(conn: &mut Conn<'_>, account_id: &str, id: &str, in_use: Option<&str>) -> Result<bool> {
    let found: Option<Device> = find!(
        conn,
        first(
            devices::table
                .filter(devices::id.eq(id))
                .filter(devices::account_id.eq(account_id))
                .select(Device::as_select())
        )
    )?;
    let Some(device) = found else { return Ok(false) };
    if device.acknowledged_at.is_some() {
        return Ok(true);
    }
    if !list(conn, account_id, in_use).await?.to_answer.iter().any(|one| one.id == id) {
        return Ok(false);
    }
    set(conn, id).await?;
    Ok(true)
}

/// Whether the account has any device.
pub(super) async fn any(conn: &mut Conn<'_>, account_id: &str) -> Result<bool> {
    let one: Option<String> =
        find!(conn, first(devices::table.filter(devices::account_id.eq(account_id)).select(devices::id)))?;
    Ok(one.is_some())
}

/// An account's first device is the person's own: there is nobody else to ask.
pub(super) async fn acknowledge_first(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    set(conn, id).await
}

async fn set(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    let new = devices::table.filter(devices::id.eq(id)).filter(devices::acknowledged_at.is_null());
    run!(conn, execute(diesel::update(new).set(devices::acknowledged_at.eq(now().nullable())))).map(drop)
}

async fn known_is_signed_in(conn: &mut Conn<'_>, account_id: &str) -> Result<bool> {
    let one: Option<String> = find!(
        conn,
        first(
            sessions::table
                .inner_join(devices::table.on(sessions::device_id.eq(devices::id.nullable())))
                .filter(sessions::account_id.eq(account_id))
                .filter(sessions::ended_at.is_null().and(sessions::expires_at.gt(now())))
                .filter(devices::acknowledged_at.is_not_null())
                .select(sessions::id)
        )
    )?;
    Ok(one.is_some())
}
