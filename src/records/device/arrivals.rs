//! New devices of an account. A sign-in from a browser that was not here before is shown to the account's other
//! devices, until one of them says whose it is. Called by the pages.
//!
//! Invariant: no device answers for itself, and one that nobody has answered for yet answers for none while the account
//! has one that is known to be the person's own, signed in or not, forgotten or not. A device that is forgotten by one
//! that may not answer leaves its question behind, or its standing. So whoever has the password alone cannot hide that
//! they came. The way out for who has lost the known one is a new password that signs out everywhere else: with it the
//! device in use becomes a known one. Whoever else does that is noticed, since the person's own password works no more.

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, SelectableHelper as _};

use super::{
    known::{self, Rest},
    row::Device,
};
use crate::base::{
    db::{Conn, find, now, run, schema::devices},
    error::Result,
};

/// New devices that are told of at most.
const MOST: i64 = 50;

/// The account's new devices, as another of its devices may know them.
#[derive(Debug, Clone, Default)]
pub struct NewDevices {
    /// Devices that this one may answer for, of the 50 newest, the newest first.
    pub to_answer: Vec<Device>,
    /// Ids of the 50 newest that nobody has answered for, this one among them if it is new itself.
    pub unanswered: Vec<String>,
    /// Whether this one may answer for new ones at all.
    pub may_answer: bool,
}

/// What the device in use is told. One query through an index of unanswered devices; others only while there are any.
pub async fn list(conn: &mut Conn<'_>, account_id: &str, in_use: Option<&str>) -> Result<NewDevices> {
    let new: Vec<Device> = run!(
        conn,
        load(
            devices::table
                .filter(devices::account_id.eq(account_id))
                .filter(devices::acknowledged_at.is_null())
                .order((devices::first_seen.desc(), devices::id))
                .limit(MOST)
                .select(Device::as_select())
        )
    )?;
    let unanswered = new.iter().map(|device| device.id.clone()).collect();
    let mut to_answer = new;
    to_answer.retain(|device| Some(device.id.as_str()) != in_use);
    let may_answer = !to_answer.is_empty() && may_answer(conn, account_id, in_use).await?;
    if !may_answer {
        to_answer.clear();
    }
    Ok(NewDevices { to_answer, unanswered, may_answer })
}

/// Notes that a new device is the person's own, said from the device in use; `false` when that may not say so, or there
/// is no such device of the account. Saying it again changes nothing. In a transaction that has locked the account.
pub async fn acknowledge(conn: &mut Conn<'_>, account_id: &str, id: &str, in_use: Option<&str>) -> Result<bool> {
    let Some(device) = known::one(conn, account_id, id).await? else { return Ok(false) };
    if device.acknowledged_at.is_some() {
        return Ok(true);
    }
    if in_use == Some(id) || !may_answer(conn, account_id, in_use).await? {
        return Ok(false);
    }
    match device.forgotten_at {
        // That was all it was kept for.
        Some(_) => known::forget(conn, account_id, id, Rest::Nothing).await?,
        None => set(conn, account_id, id).await?,
    }
    Ok(true)
}

/// What is left of a device that is forgotten from the device in use; `None` when that has no say in it any more.
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
        // Those who came in meanwhile answer for one another no more than before.
        (Some(_), _) if is_own && !list(conn, account_id, in_use).await?.to_answer.is_empty() => {
            Some(Rest::Acknowledged)
        }
        // Nor is whoever comes next trusted for being the first.
        (Some(_), _) if !is_other_known(conn, account_id, &device.id).await? => Some(Rest::Acknowledged),
        (Some(_), _) => Some(Rest::Nothing),
    })
}

async fn is_other_known(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<bool> {
    let own = devices::table.filter(devices::account_id.eq(account_id)).filter(devices::acknowledged_at.is_not_null());
    let other: Option<String> = find!(conn, first(own.filter(devices::id.ne(id)).select(devices::id)))?;
    Ok(other.is_some())
}

/// Whether the account has any device.
pub(super) async fn any(conn: &mut Conn<'_>, account_id: &str) -> Result<bool> {
    let one: Option<String> =
        find!(conn, first(devices::table.filter(devices::account_id.eq(account_id)).select(devices::id)))?;
    Ok(one.is_some())
}

/// Notes that a device is the person's own: the account's first, since there is nobody else to ask; or one on which a
/// new password was chosen that signed out all others.
pub async fn set(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<()> {
    let new = devices::table
        .filter(devices::account_id.eq(account_id))
        .filter(devices::id.eq(id))
        .filter(devices::acknowledged_at.is_null());
    run!(conn, execute(diesel::update(new).set(devices::acknowledged_at.eq(now().nullable())))).map(drop)
}

/// Whether a device may say whose the new ones are.
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
