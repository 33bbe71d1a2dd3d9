//! The devices of an account with the latest activity of their sessions, including ended sessions. Called by the pages
//! and the API of devices.
//!
//! Invariant: every statement filters by account. Another account's device is treated as missing.

use std::collections::BTreeSet;

use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, SelectableHelper as _};

use super::live::{has_ended, has_not_ended, is_live};
use crate::{
    base::{
        db::{
            Conn, Instant, find, run,
            schema::{devices, sessions},
        },
        error::Result,
    },
    records::device::Device,
};

/// Maximum number of devices to list, those with the latest sign-in first. Signed-in devices are always listed.
const MOST: i64 = 200;
/// Maximum number of devices that one query reads.
const BATCH: usize = 1000;

/// A device with the latest activity of its sessions, including ended sessions.
#[derive(Debug, Clone)]
pub struct UsedDevice {
    pub device: Device,
    /// Address of the latest use.
    pub ip: Option<String>,
}

impl UsedDevice {
    /// Moves `last_seen` forward to the latest activity of the device's sessions.
    fn new((mut device, active, ip): (Device, Option<Instant>, Option<String>)) -> Self {
        device.last_seen = active.map_or(device.last_seen, |at| at.max(device.last_seen));
        Self { device, ip }
    }
}

/// The account's devices, last seen first. An account with more than 200 devices gets the 200 that signed in last, plus
/// all devices that are signed in.
pub async fn list(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<UsedDevice>> {
    let newest: Vec<String> = run!(
        conn,
        load(
            devices::table
                .filter(devices::account_id.eq(account_id))
                .filter(devices::forgotten_at.is_null())
                .order(devices::last_seen.desc())
                .limit(MOST)
                .select(devices::id)
        )
    )?;
    let mut ids: BTreeSet<String> = newest.into_iter().collect();
    if i64::try_from(ids.len()) == Ok(MOST) {
        ids.extend(signed_in(conn, account_id).await?);
    }
    let ids: Vec<String> = ids.into_iter().collect();
    let mut listed = Vec::with_capacity(ids.len());
    for batch in ids.chunks(BATCH) {
        listed.extend(those(conn, account_id, batch).await?);
    }
    listed.sort_by(|a, b| b.device.last_seen.cmp(&a.device.last_seen).then_with(|| a.device.id.cmp(&b.device.id)));
    Ok(listed)
}

/// The account's devices among these ids, in no particular order. At most 1000 ids.
pub async fn those(conn: &mut Conn<'_>, account_id: &str, ids: &[String]) -> Result<Vec<UsedDevice>> {
    // Read only the newest ended session of each device, through an index of ended sessions. The account has few
    // sessions that have not ended, so these are all read below.
    let ended = || {
        let of_account = sessions::table.filter(sessions::account_id.eq(devices::account_id));
        let of_device = of_account.filter(sessions::device_id.eq(devices::id.nullable()));
        of_device.filter(has_ended()).order(sessions::last_activity.desc()).limit(1)
    };
    let rows: Vec<(Device, Option<Instant>, Option<String>)> = run!(
        conn,
        load(
            devices::table
                .filter(devices::id.eq_any(ids))
                .filter(devices::account_id.eq(account_id))
                .filter(devices::forgotten_at.is_null())
                .select((
                    Device::as_select(),
                    ended().select(sessions::last_activity).single_value(),
                    ended().select(sessions::ip).single_value(),
                ))
        )
    )?;
    let unended_sessions = unended_sessions(conn, account_id).await?;
    let newest = |(device, mut at, mut ip): (Device, Option<Instant>, Option<String>)| {
        let on_device = unended_sessions.iter().filter(|(id, ..)| id.as_deref() == Some(&device.id));
        if let Some((_, last, from)) = on_device.max_by_key(|(_, last, _)| *last)
            && at.is_none_or(|at| at < *last)
        {
            (at, ip) = (Some(*last), from.clone());
        }
        UsedDevice::new((device, at, ip))
    };
    Ok(rows.into_iter().map(newest).collect())
}

/// The device, latest activity and address of each session of the account that has not ended.
async fn unended_sessions(
    conn: &mut Conn<'_>,
    account_id: &str,
) -> Result<Vec<(Option<String>, Instant, Option<String>)>> {
    run!(
        conn,
        load(sessions::table.filter(sessions::account_id.eq(account_id)).filter(has_not_ended()).select((
            sessions::device_id,
            sessions::last_activity,
            sessions::ip
        )))
    )
}

/// The address from which a device of the account was last used, even if the device is forgotten.
pub async fn last_ip(conn: &mut Conn<'_>, account_id: &str, id: &str) -> Result<Option<String>> {
    let unended_sessions = unended_sessions(conn, account_id).await?;
    let on_device = unended_sessions.into_iter().filter(|(device, ..)| device.as_deref() == Some(id));
    if let Some((_, _, ip)) = on_device.max_by_key(|(_, last, _)| *last) {
        return Ok(ip);
    }
    let own = sessions::table.filter(sessions::account_id.eq(account_id)).filter(sessions::device_id.eq(id));
    let ended = own.filter(has_ended());
    let ended = ended.order(sessions::last_activity.desc()).select(sessions::ip);
    let ip: Option<Option<String>> = find!(conn, first(ended))?;
    Ok(ip.flatten())
}

/// The ids of the devices with a live session.
async fn signed_in(conn: &mut Conn<'_>, account_id: &str) -> Result<Vec<String>> {
    let rows: Vec<Option<String>> = run!(
        conn,
        load(
            sessions::table
                .filter(sessions::account_id.eq(account_id))
                .filter(is_live())
                .filter(sessions::device_id.is_not_null())
                .select(sessions::device_id)
        )
    )?;
    Ok(rows.into_iter().flatten().collect())
}
