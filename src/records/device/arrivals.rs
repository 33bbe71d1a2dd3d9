//! New devices of an account. A sign-in from a new browser is shown to the account's other devices until one of them
//! acknowledges or forgets the new device. Called by the pages.
//!
//! Invariant: an intruder who has only the password cannot hide the sign-in. No device acknowledges itself. While the
//! account has an acknowledged device, even a signed-out or forgotten one, only acknowledged devices may acknowledge
//! others. If a device without this right forgets another device, an unacknowledged device stays listed, and an
//! acknowledged device stays acknowledged.
//!
//! A person who has lost all acknowledged devices can choose a new password and sign out everywhere else, which
//! acknowledges the device in use. If an intruder does that, the person notices, because the old password no longer
//! works.

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, SelectableHelper as _};

use super::{
    known::{self, Rest},
    row::Device,
};
use crate::base::{
    db::{Conn, find, first_of, now, run, schema::devices},
    error::Result,
};

/// Maximum new devices that are listed.
pub const MOST_NEW: u16 = 50;

/// The account's unacknowledged devices, as shown to one of its devices.
#[derive(Debug, Clone, Default)]
pub struct NewDevices {
    /// Devices that the device in use may acknowledge: from the 50 newest, newest first.
    pub to_answer: Vec<Device>,
    /// Ids of the 50 newest unacknowledged devices. May include the device in use.
    pub unanswered: Vec<String>,
    /// Whether there are new devices that the device in use may acknowledge.
    pub may_answer: bool,
}

/// The account's unacknowledged devices, newest first.
#[diesel::dsl::auto_type(no_type_alias)]
pub fn unacknowledged<'a>(account_id: &'a str) -> _ {
    devices::table
        .filter(devices::account_id.eq(account_id))
        .filter(devices::acknowledged_at.is_null())
        .order((devices::first_seen.desc(), devices::id))
}

/// The account's 50 newest unacknowledged devices, newest first.
pub async fn newest(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<Device>> {
    run!(conn, load(first_of::<MOST_NEW, _>(unacknowledged(account_id).select(Device::as_select()))))
}

/// Lists the new devices for the device in use.
async fn list(conn: &mut Conn<'_>, account_id: &str, in_use: Option<&str>) -> Result<NewDevices> {
    let new = newest(conn, account_id).await?;
    answerable(conn, account_id, in_use, new).await
}

/// Which of the account's newest unacknowledged devices the device in use may acknowledge. Runs queries only if there
/// are any.
pub async fn answerable(
    conn: &mut Conn<'_>,
    account_id: &str,
    in_use: Option<&str>,
    mut new: Vec<Device>,
) -> Result<NewDevices> {
    new.sort_by(|a, b| b.first_seen.cmp(&a.first_seen).then_with(|| a.id.cmp(&b.id)));
    let unanswered = new.iter().map(|device| device.id.clone()).collect();
    let mut to_answer = new;
    to_answer.retain(|device| Some(device.id.as_str()) != in_use);
    let may_answer = !to_answer.is_empty() && may_answer(conn, account_id, in_use).await?;
    if !may_answer {
        to_answer.clear();
    }
    Ok(NewDevices { to_answer, unanswered, may_answer })
}

/// Acknowledges a device from the device in use. `false` if the device in use may not do so, or the account has no such
/// device. Repeating it changes nothing. The transaction must have locked the account.
pub async fn acknowledge(conn: &mut Conn<'_>, account_id: &str, id: &str, in_use: Option<&str>) -> Result<bool> {
    let Some(device) = known::one(conn, account_id, id).await? else { return Ok(false) };
    if device.acknowledged_at.is_some() {
        return Ok(true);
    }
    if in_use == Some(id) || !may_answer(conn, account_id, in_use).await? {
        return Ok(false);
    }
    match device.forgotten_at {
        // A forgotten device is kept only until it is acknowledged.
        Some(_) => known::forget(conn, account_id, id, Rest::Nothing).await?,
        None => set(conn, account_id, id).await?,
    }
    Ok(true)
}

/// Decides what remains of a device that the device in use forgets. `None` if the device is already forgotten and the
/// device in use may not answer for it.
pub async fn rest_of(
    conn: &mut Conn<'_>,
    account_id: &str,
    device: &Device,
    in_use: Option<&str>,
) -> Result<Option<Rest>> {
    let is_own = in_use == Some(device.id.as_str());
    let may_answer = may_answer(conn, account_id, in_use).await?;
    Ok(match (device.acknowledged_at, device.forgotten_at) {
        (None, _) if may_answer && !is_own => Some(Rest::Nothing),
        (None, None) => Some(Rest::Question),
        (None, Some(_)) => None,
        (Some(_), _) if !may_answer => Some(Rest::Acknowledged),
        // Otherwise the new devices could acknowledge each other once this acknowledged device is gone.
        (Some(_), _) if is_own && !list(conn, account_id, in_use).await?.to_answer.is_empty() => {
            Some(Rest::Acknowledged)
        }
        // Otherwise the next device to sign in would be acknowledged as the account's first.
        (Some(_), _) if !is_other_known(conn, account_id, &device.id).await? => Some(Rest::Acknowledged),
        (Some(_), _) => Some(Rest::Nothing),
    })
}

async fn is_other_known(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<bool> {
    let own = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::acknowledged_at.is_not_null());
    let other: Option<String> = find!(conn, first(own.filter(devices::id.ne(id)).select(devices::id)))?;
    Ok(other.is_some())
}

/// Whether the account has a device, forgotten or not.
pub(super) async fn any(conn: &mut Conn<'_>, account_id: &str) -> Result<bool> {
    let any: Option<String> =
        find!(conn, first(devices::table.filter(devices::account_id.eq(account_id)).select(devices::id)))?;
    Ok(any.is_some())
}

/// Acknowledges a device without a check: the account's first device, because no other device can, or the device on
/// which a password change signed out all others.
pub async fn set(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<()> {
    let new = devices::table
        .filter(devices::account_id.eq(account_id))
        .filter(devices::id.eq(id))
        .filter(devices::acknowledged_at.is_null());
    run!(conn, execute(diesel::update(new).set(devices::acknowledged_at.eq(now().nullable())))).map(drop)
}

/// Whether a device may acknowledge others: it is acknowledged itself, or no device is.
async fn may_answer(conn: &mut Conn<'_>, account_id: &str, in_use: Option<&str>) -> Result<bool> {
    let own =
        || devices::table.filter(devices::account_id.eq(account_id)).filter(devices::acknowledged_at.is_not_null());
    let itself: Option<String> =
        find!(conn, first(own().filter(devices::id.eq(in_use.unwrap_or_default())).select(devices::id)))?;
    if itself.is_some() {
        return Ok(true);
    }
    let any: Option<String> = find!(conn, first(own().select(devices::id)))?;
    Ok(any.is_none())
}
